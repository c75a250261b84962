-- Delete an activation with which no machine has registered: so there is no list of its machines either.
--
-- KEYS  1 activation (hash)   2 all activations (zset)
-- ARGV  1 activation id
-- Returns 'ok' | 'unknown' | 'in_use'
local function delete_activation(keys, args)
  if redis.call('HEXISTS', keys[1], 'record') == 0 then return 'unknown' end
  if (redis.call('HGET', keys[1], 'registered_count') or '0') ~= '0' then return 'in_use' end
  redis.call('DEL', keys[1])
  redis.call('ZREM', keys[2], args[1])
  return 'ok'
end
redis.register_function('ca_delete_activation', delete_activation)
