-- Give one use of an activation to a machine, or find the use that it has already.
--
-- KEYS  1 activation (hash)   2 its machines (hash)
-- ARGV  1 machine   2 proof (digest of a secret that only this machine has)   3 instance id for a new use
--       4 uses allowed   5 end of the activation (ms)   6 '1': a machine with a use and another proof may take another one
--       7 seal of a new use, without blanks
-- Returns {word, instance id, number of the use, seal of the use}:
--   taken | again | gone | disabled | expired | used_up | known
-- Gateways of earlier versions give six arguments, know no seals, and can read no more than three values.
local function take_use(keys, args)
  local state = redis.call('HMGET', keys[1], 'record', 'disabled', 'registered_count')
  if not state[1] then return {'gone', '', 0, ''} end
  if state[2] then return {'disabled', '', 0, ''} end
  if now_ms() >= tonumber(args[5]) then return {'expired', '', 0, ''} end
  local known = redis.call('HGET', keys[2], args[1])
  if known then
    local proof, instance, number, seal = string.match(known, '^(%S+) (%S+) (%d+) ?(%S*)$')
    if proof == args[2] then return {'again', instance, tonumber(number), seal} end
    if args[6] ~= '1' then return {'known', '', 0, ''} end
  end
  local taken = tonumber(state[3] or '0')
  if taken >= tonumber(args[4]) then return {'used_up', '', 0, ''} end
  redis.call('HSET', keys[1], 'registered_count', taken + 1)
  redis.call('HSET', keys[2], args[1], args[2] .. ' ' .. args[3] .. ' ' .. (taken + 1) .. ' ' .. (args[7] or ''))
  return {'taken', args[3], taken + 1, args[7] or ''}
end
local function take_activation(keys, args)
  local answer = take_use(keys, args)
  if not args[7] then answer[4] = nil end
  return answer
end
redis.register_function('ca_take_activation', take_activation)
