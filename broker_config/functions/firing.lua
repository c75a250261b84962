-- Decide about one due time of a timed invocation, once, and hand it to its targets: chunk after chunk where they are many.
--
-- KEYS  1 timed (hash)           2 firing (hash)            3 firings (zset)           4 due (zset)
--       5 dispatching (zset)     6 waiting (zset)           7 deadlines (zset)         8 unfinished invocations (zset)
--       9 latest execution per target (hash)                10 the firing still being dispatched (= 2 when none)
--      11 instances (zset)
--       then per target: row (hash), open (zset), queue (list), history (zset), quarantine (hash), row of its latest
--       execution (= its row when there is none)
--       then, of one that does not run everywhere at once: its line (list)
-- ARGV  1 invocation id          2 due ms                   3 lease token              4 lease ms
--       5 first target's place   6 place after the last     7 targets in all           8 delivery deadline ms
--       9 envelope              10 key id                  11 message template        12 placeholder of the id in it
--      13 queue limit           14 command id              15 timeout seconds         16 done channel
--      17 overlap policy        18 most runs, 0 = no limit 19 revision                20 next due ms, 0 = none
--      21 why the next one is skipped, ''                  22 why it ends when there is no next one
--      23 the due time still being dispatched, ''          24 note
--       then per target: execution id, signature, not before ms (0 = at once), its latest execution's id or ''
--       then, of one that does not run everywhere at once: how many at once, how many failures end it (0 = none), the ms in
--       which each must have been taken from its turn on, those in which the last must have been, and the name of an
--       execution's row up to the instance and from there to the execution
-- ca_open_firing answers {'opened', done, now} | {'early', now} | {'changed'} | {'ended'}; ca_continue_firing takes the same and
-- answers {'continued', done, now} | {'changed'} (since it was read) | {'lost'}; done is 1 when no target is left. Two callers
-- at once: the due time has moved on for the second. A call whose answer was lost finds 'changed', or its own lease.
local FIRST_TARGET = 25
local UNFINISHED = { Scheduled = true, Pending = true, Running = true, Stopping = true }

local function read_previous(row_key)
  local row = redis.call('HMGET', row_key, 'state', 'deadline_ms', 'waits_for', 'claimed_ms', 'repeats')
  return { state = row[1], deadline_ms = row[2], waits_for = row[3], is_claimed = row[4] and true, repeats = row[5] }
end

-- A row that waits past its deadline can no longer be claimed: it does not run, whatever the sweeper has said yet.
local function is_unfinished(row, now)
  if row.state == 'Pending' or row.state == 'Scheduled' then return now <= tonumber(row.deadline_ms) end
  return row.state and UNFINISHED[row.state] or false
end

-- What an execution waited for that never ran: it may still be running, so whoever comes next must wait for it in turn. That of
-- another instance stood before it in a line, which is none of the next firing's business.
local function waited_for(row, instance_id)
  local one = not row.is_claimed and row.waits_for or ''
  return string.sub(one, -#instance_id - 1) == '@' .. instance_id and one or ''
end

-- How often it has run on an instance, what is under way included. Where no row says so, it ran at each due time.
local function runs_until(row, now, fired_count)
  local runs = tonumber(row.repeats or '')
  if not runs then return fired_count end
  return (row.is_claimed or is_unfinished(row, now)) and runs or math.max(runs - 1, 0)
end

local function write_row(keys, at, args, id, mac, state, now, runs, deadline)
  redis.call('HSET', keys[at], 'state', state, 'invoke_id', args[1], 'command_id', args[14], 'firing_ms', args[2],
    'attempt', '1', 'created_ms', digits(now), 'deadline_ms', deadline or args[8], 'timeout_seconds', args[15], 'envelope', args[9],
    'mac', mac, 'key_id', args[10], 'done', args[16], 'repeats', digits(runs + 1))
  redis.call('ZADD', keys[at + 3], digits(now), id)
end

local function write_refused(keys, at, args, id, state, code, info, now, runs)
  write_row(keys, at, args, id, '', state, now, runs)
  redis.call('HSET', keys[at], 'error_code', code, 'finished_ms', digits(now), 'error_info', info)
  redis.call('HDEL', keys[at], 'envelope', 'mac')
  redis.call('PUBLISH', args[16], 'end ' .. id .. ' ' .. state)
end

-- Put an instance at the end of a line; answers the execution before it in that line, nil for the first of each.
local function join_line(args, pacing, instance_id, id)
  if redis.call('RPUSH', pacing.line, instance_id) <= pacing.at_once then return nil end
  local before = redis.call('LINDEX', pacing.line, -pacing.at_once - 1)
  local before_id = args[1] .. '.' .. args[2] .. '@' .. before
  local row = pacing.of_branch .. before .. pacing.in_branch .. before_id
  -- Its agent may have made it anything; without this one it wakes nobody.
  if redis.call('EXISTS', row) == 1 then redis.pcall('HSET', row, 'followed_by', id) end
  return before_id
end

local function write_target(keys, at, args, place, now, counts)
  local id, not_before, previous = args[place], tonumber(args[place + 2]), args[place + 3]
  local instance_id = string.sub(id, string.find(id, '@', 1, true) + 1)
  local waits_for, runs = '', 0
  local before = previous ~= '' and read_previous(keys[at + 5])
  if before then runs = runs_until(before, now, counts.fired_before) end
  if before and args[17] ~= 'allow' then
    if not is_unfinished(before, now) then
      waits_for = waited_for(before, instance_id)
    elseif args[17] == 'skip' then
      counts.overlap[#counts.overlap + 1] = instance_id
      return
    else
      waits_for = previous
    end
    if counts.pacing and waits_for ~= '' then
      -- It cannot stand in a line and wait for this as well.
      counts.overlap[#counts.overlap + 1] = instance_id
      return
    end
  end
  counts.latest[#counts.latest + 1] = instance_id
  counts.latest[#counts.latest + 1] = args[2]
  if not redis.call('ZSCORE', keys[11], instance_id) then
    counts.refused = counts.refused + 1
    return write_refused(keys, at, args, id, 'Aborted', 'InstanceNotExists', 'the instance was deregistered', now, runs)
  end
  if redis.call('EXISTS', keys[at + 4]) == 1 then
    counts.refused = counts.refused + 1
    return write_refused(keys, at, args, id, 'Invalid', 'InstanceQuarantined', IN_QUARANTINE, now, runs)
  end
  local pacing = counts.pacing
  local waits_in_line = pacing and redis.call('LLEN', pacing.line) >= pacing.at_once
  if not waits_in_line and redis.call('LLEN', keys[at + 2]) >= tonumber(args[13]) then
    counts.refused = counts.refused + 1
    return write_refused(keys, at, args, id, 'Aborted', 'TaskConcurrencyLimit', queue_is_full(args[13]), now, runs)
  end
  local in_line = pacing and join_line(args, pacing, instance_id, id)
  if in_line then
    local last_deadline = digits(now + pacing.life_ms)
    redis.call('ZADD', keys[at + 1], last_deadline, id)
    write_row(keys, at, args, id, args[place + 1], 'Scheduled', now, runs, last_deadline)
    redis.call('HSET', keys[at], 'waits_for', in_line, 'deliver_within_ms', pacing.within_ms, 'failures_count', pacing.failures)
    -- Looked at once, to see who wakes it.
    redis.call('ZADD', keys[6], digits(now), id)
    counts.waiting = counts.waiting + 1
    return
  end
  -- As long as for those whose turn comes later.
  local deadline = pacing and digits(math.min(tonumber(args[8]), now + tonumber(pacing.within_ms))) or args[8]
  redis.call('ZADD', keys[at + 1], deadline, id)
  if waits_for ~= '' or not_before > now then
    write_row(keys, at, args, id, args[place + 1], 'Scheduled', now, runs, deadline)
    redis.call('HSET', keys[at], 'not_before_ms', args[place + 2], 'waits_for', waits_for)
    if args[17] == 'cancel' and waits_for ~= '' then redis.call('HSET', keys[at], 'stops_previous', '1') end
    redis.call('ZADD', keys[6], digits(math.max(not_before, now)), id)
    counts.waiting = counts.waiting + 1
    return
  end
  write_row(keys, at, args, id, args[place + 1], 'Pending', now, runs, deadline)
  counts.deadlines[#counts.deadlines + 1] = deadline
  counts.deadlines[#counts.deadlines + 1] = id
  local message = string.gsub(args[11], args[12], id)
  redis.call('LPUSH', keys[at + 2], message)
  counts.created = counts.created + 1
end

local function end_schedule(keys, id, reason, now)
  redis.call('HSET', keys[1], 'status', 'ended', 'end_reason', reason, 'ended_ms', digits(now), 'due_ms', '0')
  redis.call('HDEL', keys[1], 'due_skip', 'next_ms', 'next_skip')
  redis.call('ZREM', keys[4], id)
  redis.call('ZADD', keys[8], digits(now), id)
end

-- What a firing with targets that never got their execution amounts to.
local function cut_short(keys, firing_key, id, due, why)
  local firing = redis.call('HMGET', firing_key, 'is_counted', 'next_place', 'target_count')
  -- Where nothing is left of it there is nothing to be said of it.
  local left = firing[2] and firing[3] and tonumber(firing[3]) - tonumber(firing[2])
  if left and firing[1] == '1' then
    redis.call('HSET', firing_key, 'status', 'fired', 'left_out_count', left, 'info', why)
  elseif left then
    redis.call('HSET', firing_key, 'status', 'skipped', 'reason', 'misfire', 'left_out_count', left, 'info', why)
    redis.call('HINCRBY', keys[1], 'skipped_count', 1)
  end
  redis.call('HDEL', firing_key, 'token')
  redis.call('HDEL', keys[1], 'open_due_ms')
  redis.call('ZREM', keys[5], id .. ' ' .. due)
end

local LINE_LIFE_MS = 31 * 86400000  -- nothing waits longer than 30 days

-- Forget that somebody joined a line whose row could not be written.
local function leave_line(line, count)
  if count == 0 then redis.call('DEL', line) else redis.call('LTRIM', line, 0, count - 1) end
end

-- What the arguments say of a firing that does not run everywhere at once, nil when it does.
local function pacing_in(keys, args)
  local place = FIRST_TARGET + math.floor((#keys - 11) / 6) * 4
  if not args[place] then return nil end
  return { at_once = tonumber(args[place]), failures = args[place + 1], within_ms = args[place + 2], life_ms = tonumber(args[place + 3]),
    of_branch = args[place + 4], in_branch = args[place + 5], line = keys[#keys] }
end

-- Write some targets and enter in the firing what came of them; 'fields' are those of a firing that is new.
local function write_chunk(keys, args, now, before, fields, pacing)
  local is_counted = before.is_counted == '1'
  local fired_before = tonumber(redis.call('HGET', keys[1], 'fired_count') or 0) - (is_counted and 1 or 0)
  local counts = { created = 0, waiting = 0, refused = 0, overlap = {}, deadlines = {}, latest = {}, fired_before = fired_before,
    pacing = pacing }
  for target = 1, math.floor((#keys - 11) / 6) do
    local at, place = 12 + (target - 1) * 6, FIRST_TARGET + (target - 1) * 4
    -- An agent writes its own branch: what it has made unreadable there must not take the due time from the others.
    local line_count = pacing and redis.call('LLEN', pacing.line)
    if not pcall(write_target, keys, at, args, place, now, counts) then
      if pacing then leave_line(pacing.line, line_count) end
      counts.refused = counts.refused + 1
      pcall(write_refused, keys, at, args, args[place], 'Error', 'ExecutionException',
        "what Redis holds of this instance's own work is unreadable; see: assist instance quarantine", now, counts.fired_before)
    end
  end
  if pacing then redis.call('PEXPIRE', pacing.line, LINE_LIFE_MS) end
  if #counts.latest > 0 then redis.call('HSET', keys[9], unpack(counts.latest)) end
  if #counts.deadlines > 0 then redis.call('ZADD', keys[7], unpack(counts.deadlines)) end
  local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  for name, count in pairs({ created_count = counts.created, waiting_count = counts.waiting, refused_count = counts.refused }) do
    if count > 0 then set(name, tonumber(before[name] or 0) + count) end
  end
  local overlap = before.overlap or ''
  if #counts.overlap > 0 then
    overlap = (overlap ~= '' and overlap .. ',' or '') .. table.concat(counts.overlap, ',')
    set('overlap', overlap)
  end
  local fired
  if not is_counted and counts.created + counts.waiting + counts.refused > 0 then
    is_counted = true
    set('is_counted', '1')
    fired = redis.call('HINCRBY', keys[1], 'fired_count', 1)
    redis.call('HSET', keys[1], 'last_due_ms', args[2])
  end
  local is_done = tonumber(args[6]) >= tonumber(args[7])
  local member = args[1] .. ' ' .. args[2]
  if not is_done then
    set('next_place', args[6])
    set('token', args[3])
    set('status', 'dispatching')
    redis.call('HSET', keys[1], 'open_due_ms', args[2])
    redis.call('ZADD', keys[5], digits(now + tonumber(args[4])), member)
  elseif is_counted then
    set('status', 'fired')
  else
    set('status', 'skipped')
    set('reason', overlap ~= '' and 'overlap' or 'stopped')
    redis.call('HINCRBY', keys[1], 'skipped_count', 1)
  end
  redis.call('HSET', keys[2], unpack(fields))
  if is_done and before.next_place then
    redis.call('HDEL', keys[2], 'token')
    redis.call('HDEL', keys[1], 'open_due_ms')
    redis.call('ZREM', keys[5], member)
    fired = tonumber(redis.call('HGET', keys[1], 'fired_count') or 0)
  end
  if is_done and fired and args[18] ~= '0' and fired >= tonumber(args[18]) then
    local status = redis.call('HGET', keys[1], 'status')
    if status ~= 'ended' and status ~= 'stopped' then end_schedule(keys, args[1], 'max_count', now) end
  end
  return is_done and 1 or 0
end

local function open_firing(keys, args)
  local timed = redis.call('HMGET', keys[1], 'status', 'due_ms', 'revision', 'open_due_ms', 'fired_count', 'schedule')
  if timed[1] ~= 'active' or timed[2] ~= args[2] or timed[3] ~= args[19] or (timed[4] or '') ~= args[23] then
    return { 'changed' }
  end
  local pacing = pacing_in(keys, args)
  -- A beat of an earlier version would let all of them go at once.
  if not pacing and string.find(timed[6] or '', '"pacing":{', 1, true) then return { 'changed' } end
  local now = now_ms()
  if now < tonumber(args[2]) then return { 'early', digits(now) } end
  -- Decided long ago and held up on the way here: it is to be decided about again.
  if now > tonumber(args[8]) then return { 'changed' } end
  if timed[4] then
    cut_short(keys, keys[10], args[1], timed[4], 'the next due time came before every target had its execution')
  end
  if args[18] ~= '0' and tonumber(timed[5] or 0) >= tonumber(args[18]) then
    end_schedule(keys, args[1], 'max_count', now)
    return { 'ended' }
  end
  redis.call('ZADD', keys[3], args[2], args[2])
  redis.call('HDEL', keys[1], 'next_ms', 'next_skip', 'run_reason', 'run_count', 'run_due_ms')
  if args[20] == '0' then
    end_schedule(keys, args[1], args[22], now)
  else
    redis.call('HSET', keys[1], 'due_ms', args[20], 'due_skip', args[21])
    redis.call('ZADD', keys[4], args[20], args[1])
  end
  local fields = { 'due_ms', args[2], 'until_ms', args[2], 'count', '1', 'decided_ms', digits(now), 'deadline_ms', args[8],
    'target_count', args[7], 'info', args[24] }
  if pacing then
    for name, value in pairs({ at_once_count = pacing.at_once, failures_count = pacing.failures, deliver_within_ms = pacing.within_ms,
      life_ms = digits(pacing.life_ms) }) do
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  return { 'opened', write_chunk(keys, args, now, {}, fields, pacing), digits(now) }
end

local FIRING_FIELDS = { 'status', 'token', 'next_place', 'is_counted', 'overlap', 'created_count', 'waiting_count', 'refused_count',
  'at_once_count' }

local function continue_firing(keys, args)
  local before = {}
  for index, value in ipairs(redis.call('HMGET', keys[2], unpack(FIRING_FIELDS))) do before[FIRING_FIELDS[index]] = value or nil end
  if before.status ~= 'dispatching' or before.token ~= args[3] or before.next_place ~= args[5] then return { 'lost' } end
  local now = now_ms()
  local timed = redis.call('HMGET', keys[1], 'status', 'revision')
  local why
  if timed[1] == 'stopped' then
    why = 'the invocation was stopped before every target had its execution'
  elseif now > tonumber(args[8]) then
    why = 'the delivery deadline passed before every target had its execution'
  end
  if why then
    cut_short(keys, keys[2], args[1], args[2], why)
    return { 'continued', 1, digits(now) }
  end
  -- Some of these targets may have been stopped since they were read.
  if timed[2] ~= args[19] then return { 'changed' } end
  local pacing = pacing_in(keys, args)
  -- A beat of an earlier version: those that are left wait for one that knows lines.
  if before.at_once_count and not pacing then return { 'lost' } end
  return { 'continued', write_chunk(keys, args, now, before, {}, pacing), digits(now) }
end

-- Take over a dispatch whose owner let its lease run out.
--
-- KEYS  1 firing (hash)   2 dispatching (zset)
-- ARGV  1 'invocation id due ms'   2 lease token   3 lease ms
-- Returns {1, next place, targets in all, delivery deadline ms} | {0}
local function take_over_firing(keys, args)
  local lease = redis.call('ZSCORE', keys[2], args[1])
  if not lease then return { 0 } end
  local now = now_ms()
  if now <= tonumber(lease) then return { 0 } end
  local firing = redis.call('HMGET', keys[1], 'status', 'next_place', 'target_count', 'deadline_ms')
  if firing[1] ~= 'dispatching' then
    redis.call('ZREM', keys[2], args[1])
    return { 0 }
  end
  redis.call('HSET', keys[1], 'token', args[2])
  redis.call('ZADD', keys[2], digits(now + tonumber(args[3])), args[1])
  return { 1, firing[2], firing[3], firing[4] }
end
redis.register_function('ca_open_firing', open_firing)
redis.register_function('ca_continue_firing', continue_firing)
redis.register_function('ca_take_over_firing', take_over_firing)
