-- Move one execution to its final state with all that is known of its end, and announce it.
--
-- KEYS  1 row (hash)   2 open (zset)   3 live output (stream)   4 history (zset)
-- ARGV  1 execution id   2 new state   3 states it may come from, comma separated with a comma at both ends
--       4 life of the live output in ms   5 retention ms for a row that Redis had lost   6... field, value, ...
-- Returns {1, previous state} | {0, current state}
-- Announces 'end <id> <state>' and, unless it is too long, behind one more blank what 'announced_fields' makes a row of:
-- the state, the values of KEPT, and the fields of the end with their values, in msgpack.
-- Aborted may be replaced when its reason is ClientNotResponse, and by the end of a script that did start also when it says
-- that no agent took the execution: Redis may have lost the claim. What is replaced is kept in 'history'.
-- A repeated report of the same end finds a final state and changes nothing. A row that is gone (Redis restarted
-- empty) is written anew under 'recovered', so that a true result is never thrown away.
local NOT_TAKEN = { DeliveryTimeout = true, ClientNotRunning = true }
-- The row of a longer end is left for the reader to fetch.
local ANNOUNCED_BYTES = 8192
-- What readers use of a row beside the fields of its end. By name: an agent has no right to read a whole hash.
local KEPT = { 'history', 'command_id', 'created_ms', 'deadline_ms', 'claimed_ms', 'stop_ms', 'epoch', 'boot_id',
  'timeout_seconds' }
-- Where these begin in the answer, after four other fields.
local FIRST_KEPT = 5

local function has_started(args)
  for index = 6, #args, 2 do
    if args[index] == 'started_ms' then return tonumber(args[index + 1]) > 0 end
  end
  return false
end

local function announced_row(args, row)
  local total = 0
  for place = 6, #args do total = total + #args[place] end
  if total > ANNOUNCED_BYTES then return '' end
  return ' ' .. cmsgpack.pack({ args[2], { unpack(row, FIRST_KEPT) }, { unpack(args, 6) } })
end

local function finish(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'error_code', 'finished_ms', 'done', unpack(KEPT))
  local state = row[1]
  if not state then
    redis.call('HSET', keys[1], 'state', args[2], 'recovered', '1', unpack(args, 6))
    redis.call('PEXPIRE', keys[1], args[5])
    redis.call('ZADD', keys[4], 'NX', digits(now_ms()), args[1])
    return { 1, '' }
  end
  if not is_listed(state, args[3]) then return { 0, state } end
  if state == 'Aborted' then
    local is_open = row[2] == 'ClientNotResponse' or (NOT_TAKEN[row[2]] and has_started(args))
    if not is_open then return { 0, state } end
    row[FIRST_KEPT] = (row[FIRST_KEPT] or '') .. (row[3] or '') .. ' Aborted ' .. row[2] .. ';'
    redis.call('HSET', keys[1], 'history', row[FIRST_KEPT])
    redis.call('HDEL', keys[1], 'error_code', 'error_info')
  end
  redis.call('HSET', keys[1], 'state', args[2], unpack(args, 6))
  redis.call('HDEL', keys[1], 'envelope', 'mac', 'payload')
  redis.call('ZREM', keys[2], args[1])
  redis.call('PEXPIRE', keys[3], args[4])
  if row[4] then redis.call('PUBLISH', row[4], 'end ' .. args[1] .. ' ' .. args[2] .. announced_row(args, row)) end
  return { 1, state }
end
redis.register_function('ca_finish', finish)
