-- Move one execution to its final state with all that is known of its end, and announce it.
--
-- KEYS  1 row (hash)   2 open (zset)   3 live output (stream)   4 history (zset)
-- ARGV  1 execution id   2 new state   3 states it may come from, comma separated with a comma at both ends
--       4 life of the live output in ms   5 retention ms for a row that Redis had lost   6... field, value, ...
-- Returns {1, previous state} | {0, current state}
-- Aborted may be replaced when its reason is ClientNotResponse, and by the end of a script that did start also when it says
-- that no agent took the execution: Redis may have lost the claim. What is replaced is kept in 'history'.
-- A repeated report of the same end finds a final state and changes nothing. A row that is gone (Redis restarted
-- empty) is written anew under 'recovered', so that a true result is never thrown away.
local NOT_TAKEN = { DeliveryTimeout = true, ClientNotRunning = true }

local function has_started(args)
  for index = 6, #args, 2 do
    if args[index] == 'started_ms' then return tonumber(args[index + 1]) > 0 end
  end
  return false
end

local function finish(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'error_code', 'finished_ms', 'done', 'history')
  local state = row[1]
  if not state then
    redis.call('HSET', keys[1], 'state', args[2], 'recovered', '1', unpack(args, 6))
    redis.call('PEXPIRE', keys[1], args[5])
    local time = redis.call('TIME')
    redis.call('ZADD', keys[4], 'NX', time[1] * 1000, args[1])
    return { 1, '' }
  end
  if not string.find(args[3], ',' .. state .. ',', 1, true) then return { 0, state } end
  if state == 'Aborted' then
    local is_open = row[2] == 'ClientNotResponse' or (NOT_TAKEN[row[2]] and has_started(args))
    if not is_open then return { 0, state } end
    redis.call('HSET', keys[1], 'history', (row[5] or '') .. (row[3] or '') .. ' Aborted ' .. row[2] .. ';')
    redis.call('HDEL', keys[1], 'error_code', 'error_info')
  end
  redis.call('HSET', keys[1], 'state', args[2], unpack(args, 6))
  redis.call('HDEL', keys[1], 'envelope', 'mac', 'payload')
  redis.call('ZREM', keys[2], args[1])
  redis.call('PEXPIRE', keys[3], args[4])
  if row[4] then redis.call('PUBLISH', row[4], 'end ' .. args[1] .. ' ' .. args[2]) end
  return { 1, state }
end
redis.register_function('ca_finish', finish)
