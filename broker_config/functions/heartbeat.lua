-- Say that an agent is alive and what it is; the key vanishes when the agent falls silent.
--
-- KEYS  1 info (hash)   2 open (zset)   3 queue (list)
-- ARGV  1 epoch   2 life in ms   3 '1' to take over from another epoch
--       4 profile (hash)   5 quarantine (hash)   6 new keys (string)   7... field, value, ...
-- Returns {server time ms, epoch found, boot id found, machine id found, unfinished executions, waiting messages,
-- name, account id, reason of the quarantine, new keys, order to upgrade}: in one command all that an idle agent has to
-- look after.
-- The names in ARGV are of the same branch and only read; an agent may not write there, and KEYS count as written.
local function heartbeat(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'boot_id', 'machine_id')
  local now = digits(now_ms())
  if not found[1] or found[1] == args[1] or args[3] == '1' then
    redis.call('HSET', keys[1], 'epoch', args[1], 'heartbeat_ms', now, unpack(args, 7))
    redis.call('PEXPIRE', keys[1], args[2])
  end
  local profile = redis.call('HMGET', args[4], 'name', 'account_id', 'upgrade_order')
  return { now, found[1] or '', found[2] or '', found[3] or '', redis.call('ZCARD', keys[2]), redis.call('LLEN', keys[3]),
    profile[1] or '', profile[2] or '', redis.call('HGET', args[5], 'reason') or '', redis.call('GET', args[6]) or '',
    profile[3] or '' }
end
redis.register_function('ca_heartbeat', heartbeat)
