-- Let an execution go that waits for its moment or for the end of the one before it.
--
-- KEYS  1 row (hash)   2 open (zset)   3 queue (list)   4 row of the execution it waits for (= 1 when there is none)
--       5 waiting (zset)   6 deadlines (zset)
-- ARGV  1 execution id   2 message   3 ms until it is looked at again   4 queue limit
-- Returns {'released'} | {'waits', 'yes' when the one before is to be stopped} | {'expired'} | {'gone'}
-- Two callers at once: the second finds it gone.
local function release(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'deadline_ms', 'not_before_ms', 'waits_for', 'done', 'stops_previous')
  if row[1] ~= 'Scheduled' then
    redis.call('ZREM', keys[5], args[1])
    return { 'gone' }
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local code, info
  local waits, waited_for = false, ''
  if keys[4] ~= keys[1] then
    local before = redis.call('HMGET', keys[4], 'state', 'deadline_ms', 'waits_for', 'claimed_ms')
    local state = before[1]
    waits = state == 'Running' or state == 'Stopping'
      or ((state == 'Pending' or state == 'Scheduled') and now <= tonumber(before[2]))
    -- It never ran; what it waited for itself may still be running.
    if not waits and not before[4] then waited_for = before[3] or '' end
  end
  if now > tonumber(row[2]) then
    code, info = 'DeliveryTimeout', 'the execution before this one had not ended by the delivery deadline; the script did not start. '
      .. 'Give the schedule more time between its runs, or choose another overlap policy'
  elseif not waits and waited_for == '' and tonumber(row[3] or 0) <= now and redis.call('LLEN', keys[3]) >= tonumber(args[4]) then
    code, info = 'TaskConcurrencyLimit',
      'the queue of this instance already holds ' .. args[4] .. ' messages; wait for it or raise limits.queue_count'
  end
  if code then
    redis.call('HSET', keys[1], 'state', 'Aborted', 'error_code', code, 'error_info', info, 'finished_ms', string.format('%.0f', now))
    redis.call('HDEL', keys[1], 'envelope', 'mac')
    redis.call('ZREM', keys[2], args[1])
    redis.call('ZREM', keys[5], args[1])
    if row[5] then redis.call('PUBLISH', row[5], 'end ' .. args[1] .. ' Aborted') end
    return { 'expired' }
  end
  if waited_for ~= '' then
    -- Not at once: an agent can write rows that wait for one another in a ring, and no beat may go round it without rest.
    redis.call('HSET', keys[1], 'waits_for', waited_for)
    redis.call('ZADD', keys[5], string.format('%.0f', now + tonumber(args[3])), args[1])
    return { 'waits', '' }
  end
  if tonumber(row[3] or 0) > now then
    redis.call('ZADD', keys[5], row[3], args[1])
    return { 'waits', '' }
  end
  if waits then
    redis.call('ZADD', keys[5], string.format('%.0f', now + tonumber(args[3])), args[1])
    return { 'waits', row[6] and 'yes' or '' }
  end
  redis.call('HSET', keys[1], 'state', 'Pending')
  redis.call('ZADD', keys[6], row[2], args[1])
  redis.call('ZREM', keys[5], args[1])
  redis.call('LPUSH', keys[3], args[2])
  if row[5] then redis.call('PUBLISH', row[5], 'state ' .. args[1] .. ' Pending') end
  return { 'released' }
end
redis.register_function('ca_release', release)
