-- Write what the control side knows of an instance.
--
-- KEYS  1 instances (zset)   2 profile (hash)   3 its history (zset): one that was let go had an end, which is over now
-- ARGV  1 instance id   2 now ms   3 '1' to refuse an id that is registered already   4... field, value, ...
-- Returns 'ok' | 'exists'
local function register_instance(keys, args)
  local known = redis.call('ZSCORE', keys[1], args[1])
  if known and args[3] == '1' then return 'exists' end
  if not known then redis.call('ZADD', keys[1], args[2], args[1]) end
  if keys[3] then redis.call('PERSIST', keys[3]) end
  redis.call('HSETNX', keys[2], 'registered_ms', args[2])
  if #args > 3 then redis.call('HSET', keys[2], unpack(args, 4)) end
  return 'ok'
end
redis.register_function('ca_register_instance', register_instance)
