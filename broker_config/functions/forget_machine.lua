-- Forget which machine an instance of an activation is: it would need another use to come back.
--
-- KEYS  1 activation (hash)   2 its machines (hash)
-- ARGV  1 machine   2 instance id
-- Returns 'ok' | 'unknown'
local function forget_machine(keys, args)
  if redis.call('HEXISTS', keys[1], 'record') == 0 then return 'unknown' end
  -- The machine may have become another instance since.
  if string.match(redis.call('HGET', keys[2], args[1]) or '', '^%S+ (%S+)') == args[2] then
    redis.call('HDEL', keys[2], args[1])
  end
  local count = tonumber(redis.call('HGET', keys[1], 'deregistered_count') or '0') or 0
  redis.call('HSET', keys[1], 'deregistered_count', digits(count + 1))
  return 'ok'
end
redis.register_function('ca_forget_machine', forget_machine)
