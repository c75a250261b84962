-- Replace one entry of a hash, unless it was changed, or taken away, meanwhile.
--
-- KEYS  1 hash
-- ARGV  1 field   2 entry as it was read   3 new entry
-- Returns 1, or 0 when it is not as it was read.
local function replace_entry(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then return 0 end
  redis.call('HSET', keys[1], args[1], args[3])
  return 1
end
redis.register_function('ca_replace_entry', replace_entry)
-- As callers before version 4 know it.
redis.register_function('ca_replace_boot', replace_entry)
