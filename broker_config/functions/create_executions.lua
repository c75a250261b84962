-- Write the ledger rows of some targets and push one Celery message for each; ca_create_lines: for those of them that
-- wait for nobody.
--
-- KEYS  1 invocation (hash)   2 deadlines (zset)
--       then per target: row (hash), open (zset), queue (list), history (zset), quarantine (hash)
-- ARGV  1 invocation id   2 command id   3 firing ms   4 created ms   5 deliver within ms   6 timeout seconds
--       7 envelope   8 payload, '' when it has a key of its own   9 done channel   10 queue limit
--       11 message template   12 placeholder of the execution id in it   13 key id
--       then per target: execution id, signature; then anything, from a caller that knows lines
-- ca_create_lines has more of both, for an invocation that does not run everywhere at once:
-- KEYS  3 waiting (zset), and per target a sixth: the row of the execution whose end it waits for (= its row: of none)
-- ARGV  14 the ms in which the last of them must have been taken   15 how many failures end it, 0 = none
--       and per target: the execution that it waits for, and the one that waits for it ('' = none)
--       What is waited for comes first, here or in an earlier call.
-- Returns {created, refused for a full queue or a quarantine}; a row that exists is left alone, so a repeated call completes the first.
local function create_executions(keys, args, is_paced)
  if redis.call('EXISTS', keys[1]) == 0 then return { 0, 0 } end
  local knows_lines = is_paced or #args % 2 == 0
  -- A beat of an earlier version that completes a dispatch would let all of them go at once.
  if not knows_lines and string.find(redis.call('HGET', keys[1], 'record') or '', '"pacing":{', 1, true) then return { 0, 0 } end
  local created, refused = 0, 0
  local now = now_ms()
  local deadline = digits(now + tonumber(args[5]))
  local deadlines = {}
  local first_key, key_count = is_paced and 4 or 3, is_paced and 6 or 5
  local first_argument, argument_count = is_paced and 16 or 14, is_paced and 4 or 2
  local last_deadline = is_paced and digits(now + tonumber(args[14]))
  -- The message between the places where the id goes: cut once, joined for each target.
  local pieces = {}
  for piece in string.gmatch(args[11] .. args[12], '(.-)' .. args[12]) do pieces[#pieces + 1] = piece end
  -- Only the signature differs from row to row.
  local fields = { 'mac', '', 'state', 'Pending', 'invoke_id', args[1], 'command_id', args[2], 'firing_ms', args[3], 'attempt', '1',
    'created_ms', args[4], 'deadline_ms', deadline, 'timeout_seconds', args[6], 'envelope', args[7], 'key_id', args[13],
    'done', args[9] }
  if args[8] ~= '' then
    fields[#fields + 1] = 'payload'
    fields[#fields + 1] = args[8]
  end
  for target = 1, (#keys - first_key + 1) / key_count do
    local key = first_key + (target - 1) * key_count
    local place = first_argument + (target - 1) * argument_count
    local id, mac = args[place], args[place + 1]
    local waits_for = is_paced and args[place + 2] or ''
    local quarantined = false
    local is_new = redis.call('EXISTS', keys[key], keys[key + 4]) == 0
    if not is_new then
      quarantined = redis.call('EXISTS', keys[key + 4]) == 1
      is_new = redis.call('EXISTS', keys[key]) == 0
    end
    if is_new then
      local state, code, info
      if quarantined then
        state, code, info = 'Invalid', 'InstanceQuarantined', IN_QUARANTINE
      elseif waits_for == '' and redis.call('LPUSH', keys[key + 2], table.concat(pieces, id)) > tonumber(args[10]) then
        redis.call('LPOP', keys[key + 2])
        state, code, info = 'Aborted', 'TaskConcurrencyLimit', queue_is_full(args[10])
      end
      fields[2] = mac
      redis.call('HSET', keys[key], unpack(fields))
      redis.call('ZADD', keys[key + 3], args[4], id)
      if waits_for ~= '' then
        -- Also one that is refused: whoever is behind it waits for what it would have waited for. It is looked at now where
        -- nobody is left to wake it.
        local wakes_it = redis.call('HGET', keys[key + 5], 'state') == 'Scheduled'
        redis.call('ZADD', keys[3], wakes_it and last_deadline or digits(now), id)
        redis.call('HSET', keys[key], 'waits_for', waits_for, 'followed_by', args[place + 3])
      end
      if code then
        refused = refused + 1
        redis.call('HSET', keys[key], 'state', state, 'error_code', code, 'finished_ms', args[4], 'error_info', info)
        redis.call('HDEL', keys[key], 'envelope', 'mac', 'payload')
        redis.call('PUBLISH', args[9], 'end ' .. id .. ' ' .. state)
      elseif waits_for ~= '' then
        created = created + 1
        redis.call('HSET', keys[key], 'state', 'Scheduled', 'deadline_ms', last_deadline, 'deliver_within_ms', args[5],
          'failures_count', args[15])
        redis.call('ZADD', keys[key + 1], last_deadline, id)
      else
        created = created + 1
        redis.call('ZADD', keys[key + 1], deadline, id)
        deadlines[#deadlines + 1] = deadline
        deadlines[#deadlines + 1] = id
      end
    end
  end
  if #deadlines > 0 then redis.call('ZADD', keys[2], unpack(deadlines)) end
  return { created, refused }
end
redis.register_function('ca_create_executions', function(keys, args) return create_executions(keys, args, false) end)
redis.register_function('ca_create_lines', function(keys, args) return create_executions(keys, args, true) end)
