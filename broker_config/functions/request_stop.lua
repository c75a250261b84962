-- Ask for the end of one execution: what waits is Cancelled at once, what runs is asked to stop.
--
-- KEYS  1 row (hash)   2 open (zset)   3 control (list)   4 deadlines (zset)
--       then, of an invocation that runs once: 5 invocation (hash)   6 history (zset)
-- ARGV  1 execution id   2 control message   3 life of the control list in ms   4 extra ms for the stop to be confirmed
--       then, with these keys: 5 invocation id   6 command id   7 created ms   8 timeout seconds   9 done channel
--       10 the execution that it waits for in its line, 11 the one that waits for it ('' = none)
-- Returns {1, new state} | {0, current state or ''}

-- What the dispatch has not reached yet: whoever goes on with it leaves a row alone that exists.
local function write_cancelled(keys, args, now)
  if not keys[5] or redis.call('EXISTS', keys[5]) == 0 or redis.call('HEXISTS', keys[5], 'finished_ms') == 1 then
    return { 0, '' }
  end
  redis.call('HSET', keys[1], 'state', 'Cancelled', 'invoke_id', args[5], 'command_id', args[6], 'firing_ms', '0', 'attempt', '1',
    'created_ms', args[7], 'deadline_ms', now, 'timeout_seconds', args[8], 'done', args[9], 'stop_ms', now, 'finished_ms', now)
  -- Whoever is behind it waits for what it would have waited for.
  if args[10] ~= '' then redis.call('HSET', keys[1], 'waits_for', args[10], 'followed_by', args[11]) end
  redis.call('ZADD', keys[6], args[7], args[1])
  redis.call('PUBLISH', args[9], 'end ' .. args[1] .. ' Cancelled')
  return { 1, 'Cancelled' }
end

local function request_stop(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'done')
  local state = row[1]
  local now = digits(now_ms())
  if not state then return write_cancelled(keys, args, now) end
  if state == 'Pending' or state == 'Scheduled' then
    redis.call('HSET', keys[1], 'state', 'Cancelled', 'stop_ms', now, 'finished_ms', now)
    redis.call('HDEL', keys[1], 'envelope', 'mac', 'payload')
    redis.call('ZREM', keys[2], args[1])
    if row[2] then redis.call('PUBLISH', row[2], 'end ' .. args[1] .. ' Cancelled') end
    return { 1, 'Cancelled' }
  end
  if state == 'Running' or state == 'Stopping' then
    if state == 'Running' then
      local deadline = digits(now + tonumber(args[4]))
      redis.call('HSET', keys[1], 'state', 'Stopping', 'stop_ms', now, 'deadline_ms', deadline)
      redis.call('ZADD', keys[2], deadline, args[1])
      -- The sweeper may have looked already, and would come back only when the script's own time is over.
      if keys[4] then redis.call('ZADD', keys[4], deadline, args[1]) end
      if row[2] then redis.call('PUBLISH', row[2], 'state ' .. args[1] .. ' Stopping') end
    end
    redis.call('RPUSH', keys[3], args[2])
    redis.call('PEXPIRE', keys[3], args[3])
    return { 1, 'Stopping' }
  end
  return { 0, short(state) }
end
redis.register_function('ca_request_stop', request_stop)
