-- The end of the audit's chain, for every function that enters something in it: the change and its entry are written
-- by one function or neither is. This file's locals are those of the whole library.
--
-- From place `at` on, the arguments are: number and MAC of the last entry that the writer has seen, the writer's token,
-- '1' when it has lost often enough to be given the next turn, how many entries, and per entry its body and its MAC.
-- The MAC covers the one before it, so an entry fits one place only, and only a writer with the key can make it.

-- What stands against writing: {'busy' | 'stale', number, MAC} of the present end, {'unsealed'}, or nil.
local function audit_obstacle(stream, head, args, at)
  local known = redis.call('HMGET', head, 'number', 'mac', 'turn', 'turn_until_ms')
  local number, mac = known[1] or '0', known[2] or ''
  if known[3] and known[3] ~= args[at + 2] then
    local left = (tonumber(known[4]) or 0) - now_ms()
    if left > 0 and left <= 1000 then return { 'busy', number, mac } end
  end
  if number ~= args[at] or mac ~= args[at + 1] then
    if args[at + 3] == '1' then
      redis.call('HSET', head, 'turn', args[at + 2], 'turn_until_ms', digits(now_ms() + 1000))
    end
    return { 'stale', number, mac }
  end
  -- Once entries carry seals, those without would be the way around them.
  if mac ~= '' and string.sub(mac, 1, 1) ~= ':' and string.sub(args[at + 6], 1, 1) == ':' then return { 'unsealed' } end
  return nil
end

-- Write the entries; only after audit_obstacle has answered nil, in the same call, and before what they tell of: where the
-- stream is a key of another type, this is the error that comes before anything was changed.
local function audit_write(stream, head, args, at)
  local number, mac = tonumber(args[at]), args[at + 1]
  for entry = 1, tonumber(args[at + 4]) do
    number = number + 1
    mac = args[at + 4 + entry * 2]
    redis.call('XADD', stream, '*', 'number', digits(number), 'body', args[at + 3 + entry * 2], 'mac', mac)
  end
  redis.call('HSET', head, 'number', digits(number), 'mac', mac)
  redis.call('HDEL', head, 'turn', 'turn_until_ms')
end
