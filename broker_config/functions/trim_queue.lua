-- Remove messages from the old end of an instance's queue whose executions are over: an instance that is away must not gather
-- the hints of a year.
--
-- KEYS  1 queue (list)   2 open (zset)
-- ARGV  1 most messages looked at   2 what the names of the instance's rows begin with
-- Returns how many were removed.
-- A dispatch enters an execution in 'open' and pushes its message in one step, so a message whose execution is not open tells
-- nothing any more; but for the self-test of an agent on trial, of which there is nothing but its row. A message that is not
-- ours to read ends the work, unless nothing is open.

-- Ours are a tenth as long. Decoded it would take fifteen times as much, and nobody else is served meanwhile.
local MESSAGE_BYTES = 65536

local function execution_in(message)
  if #message > MESSAGE_BYTES then return nil end
  local readable, parsed = pcall(cjson.decode, message)
  local id = readable and type(parsed) == 'table' and type(parsed.headers) == 'table' and parsed.headers.id
  return type(id) == 'string' and id or nil
end

local function trim_queue(keys, args)
  local is_any_open = redis.call('ZCARD', keys[2]) > 0
  for removed = 0, tonumber(args[1]) - 1 do
    local message = redis.call('LINDEX', keys[1], -1)
    if not message then return removed end
    local id = execution_in(message)
    if is_any_open and (not id or redis.call('ZSCORE', keys[2], id)) then return removed end
    if id and args[2] and redis.call('HGET', args[2] .. id, 'state') == 'Pending' then return removed end
    redis.call('RPOP', keys[1])
  end
  return tonumber(args[1])
end
redis.register_function('ca_trim_queue', trim_queue)
