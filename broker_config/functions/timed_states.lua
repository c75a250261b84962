-- Begin a timed invocation, and pause, resume or stop it.
--
-- KEYS  1 timed (hash)   2 due (zset)   3 unfinished invocations (zset)   4 boot-bound invocations (zset)   5 invocation (hash)
--
-- ca_begin_timed
-- ARGV  1 invocation id   2 now ms   3 due ms, '' when it is bound to boots   4 channel of changes   5... field, value, ...
-- Returns 'ok' | 'exists' | 'unknown'
-- An invocation that runs by itself for years is no unfinished work: it is entered there again when it ends.
local function begin_timed(keys, args)
  if redis.call('EXISTS', keys[5]) == 0 then return 'unknown' end
  if redis.call('EXISTS', keys[1]) == 1 then return 'exists' end
  redis.call('HSET', keys[1], 'status', 'active', 'revision', '1', unpack(args, 5))
  redis.call('ZREM', keys[3], args[1])
  if args[3] == '' then
    redis.call('ZADD', keys[4], args[2], args[1])
  else
    redis.call('HSET', keys[1], 'due_ms', args[3])
    redis.call('ZADD', keys[2], args[3], args[1])
    redis.call('PUBLISH', args[4], args[1])
  end
  return 'ok'
end

-- ca_move_timed
-- ARGV  1 invocation id   2 statuses it may come from, comma separated with a comma at both ends   3 new status
--       4 channel of changes   5 reason, for an end   6 '1': not while a due time has passed undecided
-- Returns {1, previous status} | {0, current status or ''} | {0, 'undecided'}
local function move_timed(keys, args)
  local status = redis.call('HGET', keys[1], 'status')
  if not status then return { 0, '' } end
  if not is_listed(status, args[2]) then return { 0, status } end
  local now = digits(now_ms())
  local due = tonumber(redis.call('HGET', keys[1], 'due_ms') or 0)
  if args[6] == '1' and due > 0 and due <= tonumber(now) then return { 0, 'undecided' } end
  redis.call('HSET', keys[1], 'status', args[3])
  redis.call('HINCRBY', keys[1], 'revision', 1)
  if args[3] == 'stopped' or args[3] == 'ended' then
    redis.call('HSET', keys[1], 'end_reason', args[5], 'ended_ms', now, 'due_ms', '0')
    redis.call('HDEL', keys[1], 'due_skip', 'next_ms', 'next_skip')
    redis.call('ZREM', keys[2], args[1])
    redis.call('ZREM', keys[4], args[1])
    redis.call('ZADD', keys[3], now, args[1])
  end
  redis.call('PUBLISH', args[4], args[1])
  return { 1, status }
end

-- ca_plan_ahead: remember the due time after the next one, so that the next firing needs no calendar.
--
-- KEYS  1 timed (hash)
-- ARGV  1 due ms   2 revision   3 due ms after it, 0 = none   4 why that one is skipped, ''
-- Returns 1, or 0 when the schedule has moved on.
local function plan_ahead(keys, args)
  local timed = redis.call('HMGET', keys[1], 'due_ms', 'revision')
  if timed[1] ~= args[1] or timed[2] ~= args[2] then return 0 end
  redis.call('HSET', keys[1], 'next_ms', args[3], 'next_skip', args[4])
  return 1
end

-- ca_read_timed: all that a firing needs to know.
--
-- KEYS  1 timed (hash)   2 targets (list)   3 latest execution per target (hash)   4 stopped targets (set)
-- ARGV  1 first place   2 how many targets
-- Returns {fields and values of timed, targets, due ms of their latest executions, 1 for each that is stopped}
local function read_timed(keys, args)
  local targets = redis.call('LRANGE', keys[2], args[1], args[1] + args[2] - 1)
  if #targets == 0 then return { redis.call('HGETALL', keys[1]), {}, {}, {} } end
  return { redis.call('HGETALL', keys[1]), targets, redis.call('HMGET', keys[3], unpack(targets)),
    redis.call('SMISMEMBER', keys[4], unpack(targets)) }
end
redis.register_function('ca_begin_timed', begin_timed)
redis.register_function('ca_move_timed', move_timed)
redis.register_function('ca_plan_ahead', plan_ahead)
redis.register_function { function_name = 'ca_read_timed', callback = read_timed, flags = { 'no-writes' } }
