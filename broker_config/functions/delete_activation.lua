-- Delete an activation with which no machine has registered.
--
-- KEYS  1 activation (hash)   2 its machines (hash)   3 all activations (zset)
-- ARGV  1 activation id
-- Returns 'ok' | 'unknown' | 'in_use'
local function delete_activation(keys, args)
  if redis.call('HEXISTS', keys[1], 'record') == 0 then return 'unknown' end
  if (redis.call('HGET', keys[1], 'registered_count') or '0') ~= '0' then return 'in_use' end
  redis.call('DEL', keys[1], keys[2])
  redis.call('ZREM', keys[3], args[1])
  return 'ok'
end
redis.register_function('ca_delete_activation', delete_activation)
