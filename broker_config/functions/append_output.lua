-- Add a piece of live output of a running execution and tell who follows it.
--
-- KEYS  1 row (hash)   2 live output (stream)
-- ARGV  1 execution id   2 offset of the piece in the merged output   3 bytes left out before it
--       4 streams of the piece ('1:12,2:3')   5 the bytes   6 about how many pieces to keep   7 life in ms
-- Returns 1, or 0 when the execution is not running any more.
local function append_output(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'done')
  if row[1] ~= 'Running' and row[1] ~= 'Stopping' then return 0 end
  redis.call('XADD', keys[2], 'MAXLEN', '~', args[6], '*', 'offset', args[2], 'skipped', args[3],
    'streams', args[4], 'data', args[5])
  redis.call('PEXPIRE', keys[2], args[7])
  if row[2] then redis.call('PUBLISH', row[2], 'output ' .. args[1]) end
  return 1
end
redis.register_function('ca_append_output', append_output)
