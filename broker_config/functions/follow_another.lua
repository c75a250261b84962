-- In an invocation that does not run everywhere at once, put an execution that waits behind another one, which has ended.
--
-- KEYS  1 followers (hash)   2 row (hash)   3 waiting (zset)
-- ARGV  1 execution id   2 its instance   3 the instance that it stands behind   4 the one that it is to stand behind
--       5 the execution of that one   6, 7 who stood behind these two in the beginning, '' = nobody
-- Returns 1 | 0: it waits no longer, or one of the two has another follower by now.
-- Each is followed by one other at most, so never do more run than in the beginning; that is why the hash is not in a row,
-- which an agent writes.
local LIFE_MS = 31 * 86400000  -- nothing waits longer than 30 days

local function follow_another(keys, args)
  local function follower(instance, first) return redis.call('HGET', keys[1], instance) or first end
  if redis.call('HGET', keys[2], 'state') ~= 'Scheduled' then return 0 end
  if follower(args[3], args[6]) ~= args[2] or follower(args[4], args[7]) ~= '' then return 0 end
  redis.call('HSET', keys[1], args[3], '', args[4], args[2])
  redis.call('PEXPIRE', keys[1], LIFE_MS)
  redis.call('HSET', keys[2], 'waits_for', args[5])
  redis.call('ZADD', keys[3], digits(now_ms()), args[1])
  return 1
end
redis.register_function('ca_follow_another', follow_another)
