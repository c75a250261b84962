-- Store a command, unless the library is full.
--
-- KEYS  1 command (hash)   2 all commands (zset)
-- ARGV  1 command id   2 record (JSON)   3 created ms   4 most commands allowed
-- Returns 'ok' | 'full' | 'exists'
local function create_command(keys, args)
  if redis.call('EXISTS', keys[1]) == 1 then return 'exists' end
  if redis.call('ZCARD', keys[2]) >= tonumber(args[4]) then return 'full' end
  redis.call('HSET', keys[1], 'record', args[2], 'created_ms', args[3])
  redis.call('ZADD', keys[2], args[3], args[1])
  return 'ok'
end
redis.register_function('ca_create_command', create_command)
