-- Replace what an instance keeps of a boot-bound invocation, unless it was changed, or taken away, meanwhile.
--
-- KEYS  1 boot-bound invocations of the instance (hash)
-- ARGV  1 invocation id   2 entry as it was read (JSON)   3 new entry (JSON)
-- Returns 1, or 0 when it is not as it was read.
local function replace_boot(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then return 0 end
  redis.call('HSET', keys[1], args[1], args[3])
  return 1
end
redis.register_function('ca_replace_boot', replace_boot)
