-- Leave out due times of a timed invocation and say why, once; advance to the next one.
--
-- KEYS  1 timed (hash)   2 firings (zset)   3 due (zset)   4 unfinished invocations (zset)
--       5 the row that the present run of equal reasons ends with (= 6 when there is none)   6... one firing (hash) per row
-- ARGV  1 invocation id   2 due ms   3 revision   4 next due ms, 0 = none   5 why the next one is skipped, ''
--       6 why it ends when there is no next one   7 due ms of KEYS[5], ''   8 longest run written row by row
--       then per row: due ms, last due ms it covers, how many it covers, reason, info
-- Returns {'skipped'} | {'early', now} | {'changed'}
-- Two callers at once: the due time has moved on for the second. After a long run of one reason the last row grows instead of
-- another being added, so that a schedule which is skipped for a year leaves no more rows than one skipped for an hour.
-- Rows are scored by the last due time that they cover.
local function skip_due(keys, args)
  local timed = redis.call('HMGET', keys[1], 'status', 'due_ms', 'revision', 'run_reason', 'run_count', 'run_due_ms')
  if (timed[1] ~= 'active' and timed[1] ~= 'paused') or timed[2] ~= args[2] or timed[3] ~= args[3]
    or (timed[6] or '') ~= args[7] then
    return { 'changed' }
  end
  local now = now_ms()
  local decided = digits(now)
  if now < tonumber(args[2]) then return { 'early', decided } end
  local run_reason, run_count, run_due = timed[4], tonumber(timed[5] or 0), timed[6]
  for row = 0, #keys - 6 do
    local at = 9 + row * 5
    local due, last, count, reason, info = args[at], args[at + 1], args[at + 2], args[at + 3], args[at + 4]
    -- Retention may have taken it, when no beat was there for as long as history is kept.
    local grows = #keys == 6 and reason == run_reason and run_count >= tonumber(args[8]) and redis.call('EXISTS', keys[5]) == 1
    if grows then
      redis.call('HSET', keys[5], 'until_ms', last, 'decided_ms', decided)
      redis.call('HINCRBY', keys[5], 'count', count)
      redis.call('ZADD', keys[2], last, run_due)
    else
      redis.call('HSET', keys[6 + row], 'status', 'skipped', 'reason', reason, 'info', info, 'due_ms', due, 'until_ms', last,
        'count', count, 'decided_ms', decided)
      redis.call('ZADD', keys[2], last, due)
      run_count = reason == run_reason and run_count + 1 or 1
      run_reason, run_due = reason, due
    end
    redis.call('HINCRBY', keys[1], 'skipped_count', count)
  end
  redis.call('HSET', keys[1], 'run_reason', run_reason, 'run_count', run_count, 'run_due_ms', run_due)
  redis.call('HDEL', keys[1], 'next_ms', 'next_skip')
  if args[4] == '0' then
    redis.call('HSET', keys[1], 'status', 'ended', 'end_reason', args[6], 'ended_ms', decided, 'due_ms', '0')
    redis.call('HDEL', keys[1], 'due_skip')
    redis.call('ZREM', keys[3], args[1])
    redis.call('ZADD', keys[4], decided, args[1])
  else
    redis.call('HSET', keys[1], 'due_ms', args[4], 'due_skip', args[5])
    redis.call('ZADD', keys[3], args[4], args[1])
  end
  return { 'skipped' }
end
redis.register_function('ca_skip_due', skip_due)
