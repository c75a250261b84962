-- Store a new invocation, unless one of its targets is not registered; nothing is written then.
--
-- KEYS  1 invocation (hash)         2 its targets (list)        3 all invocations (zset)
--       4 unfinished (zset)         5 instances (zset)          6 payload (string)
--       7 the command's unfinished invocations (set)            8 the command's invocations (zset)
--       9 timed invocations (zset)  10 command (hash)
--       11 audit (stream)           12 its head (hash), where the creation is entered in the audit
--       then which key each instance holds (hash), where the caller says which ones it takes them to hold
-- ARGV  1 invocation id   2 record (JSON)   3 created ms   4 payload, '' when it travels in the rows
--       5 payload life in ms, 0 = until removed            6 '1' when the command must exist
--       7 '1' for a timed invocation                       8... target instance ids
--       then, with keys 11 and 12, one entry as shared_audit.lua says
--       then, with the last key, the current key's id and those of the targets (at most 1,000), joined by commas
-- Returns {'ok'} | {'exists'} | {'no_command'} | {'unknown', id, ...} | {'other_keys', key id of each target}
--       | what stands against the entry
-- Concurrent callers with the same id: the second gets 'exists'.

-- The keys that the targets hold, if they are not those that the caller has signed with.
local function other_keys(holders, assumed, args, last)
  local found = redis.call('HMGET', holders, unpack(args, 8, last))
  local current = string.match(assumed, '^[^,]*')
  local names = { current }
  for place = 1, last - 7 do names[place + 1] = found[place] or current end
  if table.concat(names, ',') == assumed then return nil end
  names[1] = 'other_keys'
  return names
end

local function create_invocation(keys, args)
  if redis.call('EXISTS', keys[1]) == 1 then return { 'exists' } end
  if args[6] == '1' and redis.call('EXISTS', keys[10]) == 0 then return { 'no_command' } end
  local unknown = { 'unknown' }
  local is_audited, holders = #keys >= 12, #keys % 2 == 1 and keys[#keys]
  local last_of_entry = holders and #args - 1 or #args
  local final = is_audited and last_of_entry - 7 or last_of_entry
  for first = 8, final, 1000 do
    local last = math.min(first + 999, final)
    local scores = redis.call('ZMSCORE', keys[5], unpack(args, first, last))
    for offset = 1, last - first + 1 do
      if not scores[offset] then unknown[#unknown + 1] = args[first + offset - 1] end
    end
  end
  if #unknown > 1 then return unknown end
  local others = holders and other_keys(holders, args[#args], args, final)
  if others then return others end
  if is_audited then
    local obstacle = audit_obstacle(keys[11], keys[12], args, final + 1)
    if obstacle then return obstacle end
    audit_write(keys[11], keys[12], args, final + 1)
  end
  -- By our own clock: whether its producer is still at work is asked by others, whose clocks may differ from his.
  local stored = digits(now_ms())
  redis.call('HSET', keys[1], 'record', args[2], 'created_ms', args[3], 'timed', args[7], 'stored_ms', stored)
  for first = 8, final, 1000 do
    redis.call('RPUSH', keys[2], unpack(args, first, math.min(first + 999, final)))
  end
  redis.call('ZADD', keys[3], args[3], args[1])
  redis.call('ZADD', keys[4], args[3], args[1])
  if args[7] == '1' then redis.call('ZADD', keys[9], args[3], args[1]) end
  if args[4] ~= '' then
    redis.call('SET', keys[6], args[4])
    if args[5] ~= '0' then redis.call('PEXPIRE', keys[6], args[5]) end
  end
  redis.call('SADD', keys[7], args[1])
  redis.call('ZADD', keys[8], args[3], args[1])
  return { 'ok' }
end
redis.register_function('ca_create_invocation', create_invocation)
