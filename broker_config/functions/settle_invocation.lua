-- Store the roll-up of an invocation whose executions are all final, and take it out of the unfinished.
--
-- KEYS  1 invocation (hash)   2 unfinished (zset)   3 the command's unfinished invocations (set)
--       then rows (hashes) whose ends were only announced to the caller
-- ARGV  1 invocation id   2 roll-up (JSON)   3 (by whose clock callers of earlier releases said when)
--       4 '1' when nothing in it may still change
--       then for each row the state that was announced
-- Returns 1, 0 when the invocation is gone, or 2 when a row is in another state, and nothing is stored then.
local function settle_invocation(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then
    redis.call('ZREM', keys[2], args[1])
    redis.call('SREM', keys[3], args[1])
    return 0
  end
  for place = 4, #keys do
    if redis.call('HGET', keys[place], 'state') ~= args[place + 1] then return 2 end
  end
  -- By the clock that retention goes by: that of whoever settles may be weeks behind.
  redis.call('HSETNX', keys[1], 'finished_ms', digits(now_ms()))
  if args[4] == '1' then redis.call('HSET', keys[1], 'roll_up', args[2]) end
  redis.call('ZREM', keys[2], args[1])
  redis.call('SREM', keys[3], args[1])
  return 1
end
redis.register_function('ca_settle_invocation', settle_invocation)
