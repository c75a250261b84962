-- Give an execution whose deadline has passed its final state and reason.
--
-- KEYS  1 row (hash)   2 open (zset)   3 deadlines (zset)
-- ARGV  1 execution id   2 the state it was seen in   3 error code   4 error info
-- Returns {1, 'Aborted'} | {0, state or '', its deadline ms}: another writer was first, or the deadline has moved.
local function settle_lost(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'deadline_ms', 'done')
  local state = row[1]
  if not state then
    redis.call('ZREM', keys[3], args[1])
    redis.call('ZREM', keys[2], args[1])
    return { 0, '', '0' }
  end
  local now = now_ms()
  if state == 'Pending' or state == 'Running' or state == 'Stopping' then
    if state ~= args[2] or now <= tonumber(row[2]) then
      redis.call('ZADD', keys[3], row[2], args[1])
      return { 0, state, short(row[2]) }
    end
    redis.call('HSET', keys[1], 'state', 'Aborted', 'error_code', args[3], 'error_info', args[4], 'finished_ms', digits(now))
    redis.call('HDEL', keys[1], 'envelope', 'mac', 'payload')
    redis.call('ZREM', keys[2], args[1])
    redis.call('ZREM', keys[3], args[1])
    if row[3] then redis.call('PUBLISH', row[3], 'end ' .. args[1] .. ' Aborted') end
    return { 1, 'Aborted', short(row[2]) }
  end
  redis.call('ZREM', keys[3], args[1])
  return { 0, short(state), short(row[2]) }
end
redis.register_function('ca_settle_lost', settle_lost)
