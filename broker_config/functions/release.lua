-- Let an execution go that waits for its moment or for the end of the one before it.
--
-- KEYS  1 row (hash)   2 open (zset)   3 queue (list)   4 row of the execution it waits for (= 1 when there is none)
--       5 waiting (zset)   6 deadlines (zset)   7 invocation (hash)
-- ARGV  1 execution id   2 message   3 ms until it is looked at again   4 queue limit
-- Returns {'released'} | {'waits', 'yes' when the one before is to be stopped} | {'expired'} | {'called_off'} | {'gone'}
-- Two callers at once: the second finds it gone.
local FIELDS = { 'state', 'deadline_ms', 'not_before_ms', 'waits_for', 'done', 'stops_previous', 'followed_by',
  'deliver_within_ms', 'failures_count' }
-- Of those that are not waited for any more. What is still to begin is past its deadline then; what was stopped is no failure.
local FAILURES = { Failed = true, Timeout = true, Error = true, Invalid = true, Aborted = true, Pending = true, Scheduled = true }

-- Whoever waits for this one is looked at now; in an invocation that does not run everywhere at once nobody else wakes it.
local function leave(keys, id, followed_by, now)
  redis.call('ZREM', keys[5], id)
  if followed_by and followed_by ~= '' then redis.call('ZADD', keys[5], 'XX', 'LT', digits(now), followed_by) end
end

local function end_unstarted(keys, id, row, state, code, info, now)
  redis.call('HSET', keys[1], 'state', state, 'error_code', code, 'error_info', info, 'finished_ms', digits(now))
  redis.call('HDEL', keys[1], 'envelope', 'mac')
  redis.call('ZREM', keys[2], id)
  leave(keys, id, row.followed_by, now)
  if row.done then redis.call('PUBLISH', row.done, 'end ' .. id .. ' ' .. state) end
end

-- Count the execution that is not waited for any more where it failed; answers how many have failed when that is too many.
local function too_many_failures(keys, row, before)
  local limit = tonumber(row.failures_count)
  if limit == 0 then return nil end
  local failed = FAILURES[before] and redis.call('HINCRBY', keys[7], 'failed_count', 1)
    or tonumber(redis.call('HGET', keys[7], 'failed_count') or 0)
  return failed >= limit and failed or nil
end

local function release(keys, args)
  local row = {}
  for place, value in ipairs(redis.call('HMGET', keys[1], unpack(FIELDS))) do row[FIELDS[place]] = value or nil end
  local now = now_ms()
  if row.state ~= 'Scheduled' then
    leave(keys, args[1], row.followed_by, now)
    return { 'gone' }
  end
  local is_paced = row.deliver_within_ms ~= nil
  if is_paced and #keys < 7 then
    -- A beat of an earlier version looks for the one before it in the wrong place.
    redis.call('ZADD', keys[5], digits(now + tonumber(args[3])), args[1])
    return { 'waits', '' }
  end
  local state_before
  local waits, waited_for = false, ''
  if keys[4] ~= keys[1] then
    local before = redis.call('HMGET', keys[4], 'state', 'deadline_ms', 'waits_for', 'claimed_ms')
    state_before = before[1]
    waits = state_before == 'Running' or state_before == 'Stopping'
      or ((state_before == 'Pending' or state_before == 'Scheduled') and now <= tonumber(before[2]))
    -- It never ran; what it waited for itself may still be running.
    if not waits and not before[4] then waited_for = before[3] or '' end
  end
  local goes_now = not waits and waited_for == '' and tonumber(row.not_before_ms or 0) <= now
  local failed_count = is_paced and not waits and too_many_failures(keys, row, state_before)
  if goes_now and failed_count then
    end_unstarted(keys, args[1], row, 'Cancelled', '', 'not started: ' .. failed_count .. ' of the others failed, and the limit was '
      .. row.failures_count, now)
    redis.call('HDEL', keys[1], 'payload', 'waits_for')
    return { 'called_off' }
  end
  local code, info
  if now > tonumber(row.deadline_ms) then
    code, info = 'DeliveryTimeout', 'the execution before this one had not ended by the delivery deadline; the script did not start. '
      .. 'Give the schedule more time between its runs, or choose another overlap policy'
    if is_paced then
      info = 'those before it took longer than all their time limits together; the script did not start. Is a beat at work?'
    end
  elseif goes_now and redis.call('LLEN', keys[3]) >= tonumber(args[4]) then
    code, info = 'TaskConcurrencyLimit', queue_is_full(args[4])
  end
  if code then
    end_unstarted(keys, args[1], row, 'Aborted', code, info, now)
    -- Whoever waits for this one goes on from here: the one before has been counted.
    if is_paced and not waits then redis.call('HSET', keys[1], 'waits_for', waited_for) end
    return { 'expired' }
  end
  if waited_for ~= '' then
    -- Not at once: an agent can write rows that wait for one another in a ring, and no beat may go round it without rest.
    redis.call('HSET', keys[1], 'waits_for', waited_for)
    redis.call('ZADD', keys[5], digits(now + tonumber(args[3])), args[1])
    return { 'waits', '' }
  end
  if tonumber(row.not_before_ms or 0) > now then
    redis.call('ZADD', keys[5], row.not_before_ms, args[1])
    return { 'waits', '' }
  end
  if waits then
    -- What waits itself wakes this one when it is let go.
    local is_woken = is_paced and state_before == 'Scheduled'
    redis.call('ZADD', keys[5], is_woken and row.deadline_ms or digits(now + tonumber(args[3])), args[1])
    return { 'waits', row.stops_previous and 'yes' or '' }
  end
  local deadline = row.deadline_ms
  if is_paced then
    deadline = digits(math.min(tonumber(deadline), now + tonumber(row.deliver_within_ms)))
    redis.call('HSET', keys[1], 'deadline_ms', deadline)
    redis.call('HDEL', keys[1], 'waits_for')
    redis.call('ZADD', keys[2], deadline, args[1])
  end
  redis.call('HSET', keys[1], 'state', 'Pending')
  redis.call('ZADD', keys[6], deadline, args[1])
  leave(keys, args[1], row.followed_by, now)
  redis.call('LPUSH', keys[3], args[2])
  if row.done then redis.call('PUBLISH', row.done, 'state ' .. args[1] .. ' Pending') end
  return { 'released' }
end
redis.register_function('ca_release', release)
