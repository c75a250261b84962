-- Enter something in the audit, at the end that the writer has seen.
--
-- KEYS  1 audit (stream)   2 its head (hash)   3 taken over (hash), when refusals of agents are entered
-- ARGV  1.. as shared_audit.lua says, then per agent: instance id, last refusal taken over before, last one now
-- Returns {'ok'} | {'taken'}: another has entered these refusals | what stands against it
local function append_audit(keys, args)
  local first = 6 + tonumber(args[5]) * 2
  for at = first, #args, 3 do
    if (redis.call('HGET', keys[3], args[at]) or '') ~= args[at + 1] then return { 'taken' } end
  end
  local obstacle = audit_obstacle(keys[1], keys[2], args, 1)
  if obstacle then return obstacle end
  audit_write(keys[1], keys[2], args, 1)
  for at = first, #args, 3 do
    redis.call('HSET', keys[3], args[at], args[at + 2])
  end
  return { 'ok' }
end
redis.register_function('ca_append_audit', append_audit)
