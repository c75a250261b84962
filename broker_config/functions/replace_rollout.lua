-- Replace a roll-out as it was asked for, and what came of it, unless either was changed meanwhile.
--
-- KEYS  1 all roll-outs (hash)   2 what came of this one (hash)
-- ARGV  1 its id   2 entry as it was read   3 why it had stopped, as it was read ('' = it had not)   4 when it had finished, so
--       5 new entry   6 why it has stopped now, ''   7 when it has finished now, ''
-- Returns 1, or 0 when it is not as it was read.
local OUTCOME = { 'halted', 'finished_ms' }

local function replace_rollout(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then return 0 end
  for place, name in ipairs(OUTCOME) do
    if (redis.call('HGET', keys[2], name) or '') ~= args[2 + place] then return 0 end
  end
  redis.call('HSET', keys[1], args[1], args[5])
  for place, name in ipairs(OUTCOME) do
    if args[5 + place] == '' then
      redis.call('HDEL', keys[2], name)
    else
      redis.call('HSET', keys[2], name, args[5 + place])
    end
  end
  return 1
end
redis.register_function('ca_replace_rollout', replace_rollout)
