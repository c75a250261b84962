-- Change what a timed invocation runs, when, and where, if it is still as it was read.
--
-- KEYS  1 timed (hash)   2 due (zset)   3 invocation (hash)   4 targets (list)   5 instances (zset)
--       6 new work order (string)   7 old work order (string)
--       8 old command's unfinished invocations (set)   9 new command's unfinished invocations (set)
--      10 new command's invocations (zset)   11 old command's invocations (zset)
-- ARGV  1 invocation id   2 revision as it was read   3 new record (JSON)   4 new work order, '' = unchanged
--       5 life of the old work order in ms   6 '1' when the schedule changes   7 new due ms   8 why it is skipped, ''
--       9 channel of changes   10 created ms   11 number of fields of timed to set   12... fields and values,
--       then new targets, then, with the last key, the record as it was read
-- Returns {'ok'} | {'changed'} | {'undecided'} | {'unknown', instance id, ...}
-- A schedule is not taken away from under a due time that has passed and that nobody has decided about.
local function modify_timed(keys, args)
  local timed = redis.call('HMGET', keys[1], 'revision', 'status', 'due_ms')
  if timed[1] ~= args[2] or (timed[2] ~= 'active' and timed[2] ~= 'paused') then return { 'changed' } end
  local last_target = #args
  if keys[11] then
    -- Tags are changed without a new revision.
    if redis.call('HGET', keys[3], 'record') ~= args[#args] then return { 'changed' } end
    last_target = #args - 1
  end
  if args[6] == '1' then
    local due = tonumber(timed[3] or 0)
    if due > 0 and due <= now_ms() then return { 'undecided' } end
  end
  local targets = 12 + 2 * tonumber(args[11])
  local unknown = { 'unknown' }
  for place = targets, last_target do
    if not redis.call('ZSCORE', keys[5], args[place]) then unknown[#unknown + 1] = args[place] end
  end
  if #unknown > 1 then return unknown end
  redis.call('HSET', keys[3], 'record', args[3])
  redis.call('HINCRBY', keys[1], 'revision', 1)
  redis.call('HSET', keys[1], unpack(args, 12, targets - 1))
  if args[4] ~= '' then
    redis.call('SET', keys[6], args[4])
    redis.call('PEXPIRE', keys[7], args[5])
    redis.call('SREM', keys[8], args[1])
    redis.call('SADD', keys[9], args[1])
    -- Retention knows the present command only, and would leave it there for ever.
    if keys[11] then redis.call('ZREM', keys[11], args[1]) end
    redis.call('ZADD', keys[10], args[10], args[1])
  end
  if args[6] == '1' then
    redis.call('HSET', keys[1], 'due_ms', args[7], 'due_skip', args[8])
    redis.call('HDEL', keys[1], 'next_ms', 'next_skip', 'run_reason', 'run_count', 'run_due_ms')
    redis.call('ZADD', keys[2], args[7], args[1])
  end
  for place = targets, last_target do redis.call('RPUSH', keys[4], args[place]) end
  redis.call('PUBLISH', args[9], args[1])
  return { 'ok' }
end
redis.register_function('ca_modify_timed', modify_timed)
