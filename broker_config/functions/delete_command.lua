-- Delete a command that nothing unfinished uses. What ran can still be found by its id, until retention has taken it.
--
-- KEYS  1 command (hash)   2 all commands (zset)   3 its unfinished invocations (set)
-- ARGV  1 command id
-- Returns 'ok' | 'unknown' | 'in_use'
local function delete_command(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then return 'unknown' end
  if redis.call('SCARD', keys[3]) > 0 then return 'in_use' end
  redis.call('DEL', keys[1], keys[3])
  redis.call('ZREM', keys[2], args[1])
  return 'ok'
end
redis.register_function('ca_delete_command', delete_command)
