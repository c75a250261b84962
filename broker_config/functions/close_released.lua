-- End an execution whose instance was deregistered: nobody is left to run it, or to say how it ended.
--
-- KEYS  1 row (hash)   2 open (zset)   3 deadlines (zset)
-- ARGV  1 execution id
-- Returns {1, new state} | {0, state or ''}: it was final already.
local function close_released(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'done')
  local state = row[1]
  redis.call('ZREM', keys[2], args[1])
  redis.call('ZREM', keys[3], args[1])
  if not state then return { 0, '' } end
  local ended, code, info
  if state == 'Pending' or state == 'Scheduled' then
    ended, code, info = 'Aborted', 'InstanceNotExists', 'the instance was deregistered before its agent took the execution'
  elseif state == 'Running' or state == 'Stopping' then
    ended, code, info = 'Error', 'InstanceReleased', 'the instance was deregistered while the script ran; nobody knows how it ended'
  else
    return { 0, short(state) }
  end
  redis.call('HSET', keys[1], 'state', ended, 'error_code', code, 'error_info', info, 'finished_ms', digits(now_ms()))
  redis.call('HDEL', keys[1], 'envelope', 'mac', 'payload')
  if row[2] then redis.call('PUBLISH', row[2], 'end ' .. args[1] .. ' ' .. ended) end
  return { 1, ended }
end
redis.register_function('ca_close_released', close_released)
