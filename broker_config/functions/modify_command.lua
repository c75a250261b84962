-- Replace a command's record if it is still the one that was read.
--
-- KEYS  1 command (hash)
-- ARGV  1 record as it was read   2 new record
-- Returns 'ok' | 'unknown' | 'changed'
local function modify_command(keys, args)
  local record = redis.call('HGET', keys[1], 'record')
  if not record then return 'unknown' end
  if record ~= args[1] then return 'changed' end
  redis.call('HSET', keys[1], 'record', args[2])
  return 'ok'
end
redis.register_function('ca_modify_command', modify_command)
