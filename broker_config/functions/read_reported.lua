-- Read what agents write into their own branches, as far as a true one writes it. Whoever has the credentials of one instance may
-- have written any amount, and a reader that takes it for all instances would end for the lack of memory, or be cut off.

-- What a key takes, exactly.
local function is_larger(key, bytes)
  return (redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0') or 0) > bytes
end

-- The same of a hash; with very many fields, to add them up would itself take the server's time.
local function is_larger_hash(key, fields, bytes)
  return redis.call('HLEN', key) > fields or is_larger(key, bytes)
end

-- ca_read_reported: a hash, or some fields of it.
-- KEYS  1 hash
-- ARGV  1 most bytes, of the whole hash or of each field   2 most fields of a hash to be measured   3... fields; none = all
-- Returns what HGETALL does, nothing when it is too large; or what HMGET does, '' for a field that is too long.
local function read_reported(keys, args)
  local most = tonumber(args[1])
  local is_large = is_larger_hash(keys[1], tonumber(args[2]), most)
  if #args > 2 then
    if not is_large then return redis.call('HMGET', keys[1], unpack(args, 3)) end
    local wanted, too_long = { unpack(args, 3) }, {}
    for place, field in ipairs(wanted) do
      if redis.call('HSTRLEN', keys[1], field) > most then
        -- Read in its place is one without a name.
        wanted[place], too_long[place] = '', true
      end
    end
    local found = redis.call('HMGET', keys[1], unpack(wanted))
    for place in pairs(too_long) do found[place] = '' end
    return found
  end
  return is_large and {} or redis.call('HGETALL', keys[1])
end
redis.register_function { function_name = 'ca_read_reported', callback = read_reported, flags = { 'no-writes' } }

-- ca_read_refusals: what is new in the streams of refusals. One that is too large is emptied.
-- KEYS  streams
-- ARGV  1 most bytes of a stream   2 most entries to read of each   3... per stream the entry after which to read
-- Returns per stream its new entries, or how many there were where it was emptied.
local function read_refusals(keys, args)
  local found = {}
  for place, key in ipairs(keys) do
    local count = redis.call('XLEN', key)
    if count > 0 and is_larger(key, tonumber(args[1])) then
      -- Not removed: entries to come must have greater ids than those that were taken over.
      redis.call('XTRIM', key, 'MAXLEN', '0')
      found[place] = count
    else
      local read = count > 0 and redis.call('XREAD', 'COUNT', args[2], 'STREAMS', key, args[place + 2])
      found[place] = read and read[1][2] or {}
    end
  end
  return found
end
redis.register_function('ca_read_refusals', read_refusals)

-- ca_read_output: what a running script has written, in pieces.
-- KEYS  1 live output (stream)
-- ARGV  1 most bytes of the stream   2 where to begin, as in XRANGE
-- Returns what XRANGE does, nothing when the stream is larger than a true agent makes it.
local function read_output(keys, args)
  return is_larger(keys[1], tonumber(args[1])) and {} or redis.call('XRANGE', keys[1], args[2], '+')
end
redis.register_function { function_name = 'ca_read_output', callback = read_output, flags = { 'no-writes' } }
