-- Take one execution for running: Pending -> Running, at most once, and only before its delivery deadline.
--
-- KEYS  1 row (hash)   2 open (zset)
-- ARGV  1 execution id   2 agent epoch   3 boot id   4 extra ms after the timeout in which the result must arrive
-- Returns {1, envelope, mac, key id, payload or '', claimed ms} | {0, state or '', reason}
-- Two callers at once: Redis runs one after the other, the second finds Running.
local function claim(keys, args)
  local row = redis.call('HMGET', keys[1], 'state', 'deadline_ms', 'timeout_seconds', 'envelope', 'mac', 'key_id', 'payload')
  if not row[1] then return { 0, '', 'unknown' } end
  if row[1] ~= 'Pending' then return { 0, row[1], 'taken' } end
  local now = now_ms()
  if now > tonumber(row[2]) then return { 0, row[1], 'late' } end
  local deadline = digits(now + tonumber(row[3]) * 1000 + tonumber(args[4]))
  local claimed = digits(now)
  redis.call('HSET', keys[1], 'state', 'Running', 'epoch', args[2], 'boot_id', args[3], 'claimed_ms', claimed,
    'started_ms', claimed, 'deadline_ms', deadline)
  redis.call('ZADD', keys[2], deadline, args[1])
  return { 1, row[4], row[5], row[6], row[7] or '', claimed }
end
redis.register_function('ca_claim', claim)
