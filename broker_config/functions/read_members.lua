-- Read the sets in which an instance's executions are entered. Its agent may have put names of any length among them.

-- Longer than the name of any execution.
local NAME_BYTES = 256

-- ca_read_members: the names up to a score, the lowest first. What is too long for a name is removed.
-- KEYS  1 executions of an instance (zset)
-- ARGV  1 greatest score   2 most names looked at   3 what the wanted ones begin with
-- Returns the names.
local function read_members(keys, args)
  local found, place = {}, 0
  local left = math.min(redis.call('ZCOUNT', keys[1], '-inf', args[1]), tonumber(args[2]))
  for _ = 1, left do
    -- One at a time: together they might not fit into the memory.
    local name = redis.call('ZRANGE', keys[1], place, place)[1]
    if #name > NAME_BYTES then
      redis.call('ZREM', keys[1], name)
    else
      place = place + 1
      if string.sub(name, 1, #args[3]) == args[3] then found[#found + 1] = name end
    end
  end
  return found
end
redis.register_function('ca_read_members', read_members)

-- ca_read_last_score: the greatest score of a set, '' when it is empty.
-- KEYS  1 executions of an instance (zset)
local function read_last_score(keys)
  return redis.call('ZREVRANGE', keys[1], 0, 0, 'WITHSCORES')[2] or ''
end
redis.register_function { function_name = 'ca_read_last_score', callback = read_last_score, flags = { 'no-writes' } }
