-- Run an invocation that is bound to the start of the machine: the agent's half, and the scheduler's notes of it.
--
-- ca_fire_boot: make the execution, already claimed, at most once per invocation and boot.
-- KEYS  1 boot-bound invocations of the instance (hash)   2 row (hash)   3 open (zset)   4 history (zset)
-- ARGV  1 invocation id   2 execution id   3 firing ms   4 boot id   5 ms since the machine started   6 agent epoch
--       7 extra ms after the timeout in which the result must arrive
-- Returns {1, envelope, mac, key id, '', claimed ms} | {0, reason}: 'gone', 'done' (this boot had it), 'early' (the machine
-- had started before the invocation was made) or 'damaged' (no entry of ours)
-- Fields of KEYS[1]: '<id>' what was signed (JSON), '<id>:boot' the latest boot that had it, '<id>:fired' executions that the
-- scheduler has not noted yet, '<id>:count' how many there were.
-- The same number stands in boot_firings.py.
local NOTES_KEPT_BYTES = 4096
-- With ten secret values of the greatest length it is not half as long.
local ENTRY_BYTES = 2097152

local ENTRY = {
  created_ms = 'number', timeout_seconds = 'number', command_id = 'string', envelope = 'string', mac = 'string', key_id = 'string',
  done = 'string' }

-- Whoever has the credentials of the instance may have written anything there: an error would keep its agent from starting.
local function entry_of(text)
  -- Decoded it takes fifteen times as much, and nobody else is served meanwhile.
  if #text > ENTRY_BYTES then return nil end
  local is_read, entry = pcall(cjson.decode, text)
  if not is_read or type(entry) ~= 'table' then return nil end
  for name, kind in pairs(ENTRY) do
    if type(entry[name]) ~= kind then return nil end
  end
  return entry
end

local function fire_boot(keys, args)
  local found = redis.call('HMGET', keys[1], args[1], args[1] .. ':boot', args[1] .. ':fired', args[1] .. ':count')
  if not found[1] then return { 0, 'gone' } end
  if found[2] == args[4] then return { 0, 'done' } end
  local entry = entry_of(found[1])
  if not entry then return { 0, 'damaged' } end
  local now = now_ms()
  if not found[2] and now - tonumber(args[5]) < entry.created_ms then return { 0, 'early' } end
  if redis.call('EXISTS', keys[2]) == 1 then return { 0, 'done' } end
  local claimed = digits(now)
  local deadline = digits(now + entry.timeout_seconds * 1000 + tonumber(args[7]))
  local count = digits((tonumber(found[4]) or 0) + 1)
  redis.call('HSET', keys[1], args[1] .. ':boot', args[4], args[1] .. ':count', count,
    args[1] .. ':fired', string.sub((found[3] or '') .. args[2] .. ',', -NOTES_KEPT_BYTES))
  if entry.once then redis.call('HDEL', keys[1], args[1]) end
  redis.call('HSET', keys[2], 'state', 'Running', 'invoke_id', args[1], 'command_id', entry.command_id, 'firing_ms', args[3],
    'attempt', '1', 'created_ms', claimed, 'deadline_ms', deadline, 'timeout_seconds', digits(entry.timeout_seconds),
    'envelope', entry.envelope, 'mac', entry.mac, 'key_id', entry.key_id, 'done', entry.done, 'epoch', args[6], 'boot_id', args[4],
    'claimed_ms', claimed, 'started_ms', claimed, 'repeats', count)
  redis.call('ZADD', keys[3], deadline, args[2])
  redis.call('ZADD', keys[4], claimed, args[2])
  redis.call('PUBLISH', entry.done, 'state ' .. args[2] .. ' Running')
  return { 1, entry.envelope, entry.mac, entry.key_id, '', claimed }
end

-- ca_note_boot: enter an execution that an agent made in what the control side keeps.
-- KEYS  1 boot-bound invocations of the instance (hash)   2 timed (hash)   3 latest execution per target (hash)
--       4 firings (zset)   5 firing (hash)   6 deadlines (zset)   7 row (hash)   8 boot-bound invocations (zset)
--       9 unfinished invocations (zset)
-- ARGV  1 invocation id   2 instance id   3 execution id   4 firing ms   5 targets in all when each runs once, else 0
-- Returns 1, or 0 when it was noted before.
local function note_boot(keys, args)
  local field = args[1] .. ':fired'
  -- The agent may have written any amount of them.
  local fired = string.sub(redis.call('HGET', keys[1], field) or '', -NOTES_KEPT_BYTES)
  local from, to = string.find(fired, args[3] .. ',', 1, true)
  if not from then return 0 end
  local rest = string.sub(fired, 1, from - 1) .. string.sub(fired, to + 1)
  if rest == '' then redis.call('HDEL', keys[1], field) else redis.call('HSET', keys[1], field, rest) end
  if redis.call('EXISTS', keys[2]) == 0 then return 0 end
  local now = digits(now_ms())
  if redis.call('EXISTS', keys[5]) == 0 then
    redis.call('HSET', keys[5], 'status', 'fired', 'due_ms', args[4], 'until_ms', args[4], 'count', '1', 'decided_ms', args[4],
      'instances', args[2], 'info', 'the machine started')
    redis.call('ZADD', keys[4], args[4], args[4])
    redis.call('HINCRBY', keys[2], 'fired_count', 1)
  else
    redis.call('HSET', keys[5], 'instances', redis.call('HGET', keys[5], 'instances') .. ',' .. args[2])
  end
  redis.call('HINCRBY', keys[5], 'target_count', 1)
  redis.call('HINCRBY', keys[5], 'created_count', 1)
  redis.call('HSET', keys[3], args[2], args[4])
  if tonumber(redis.call('HGET', keys[2], 'last_due_ms') or 0) < tonumber(args[4]) then
    redis.call('HSET', keys[2], 'last_due_ms', args[4])
  end
  local deadline = redis.call('HGET', keys[7], 'deadline_ms')
  if deadline then redis.call('ZADD', keys[6], deadline, args[3]) end
  if args[5] ~= '0' and redis.call('HLEN', keys[3]) >= tonumber(args[5]) and redis.call('HGET', keys[2], 'status') == 'active' then
    redis.call('HSET', keys[2], 'status', 'ended', 'end_reason', 'each target has run once', 'ended_ms', now)
    redis.call('ZREM', keys[8], args[1])
    redis.call('ZADD', keys[9], now, args[1])
  end
  return 1
end
redis.register_function('ca_fire_boot', fire_boot)
redis.register_function('ca_note_boot', note_boot)
