-- Replace what is kept of an instance's credentials, unless they were issued anew, or revoked, meanwhile.
--
-- KEYS  1 credentials of all instances (hash)   2 ids of the keys that they are signed for with (hash)
--       3 new keys for the instance (string), where it is sent some
-- ARGV  1 instance id   2 credentials as they were read   3 new ones   4 id of the key to sign with from now on, '' = as before
--       5 the new keys, wrapped
-- Returns 1, or 0 when they are not as they were read.
local function replace_credentials(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then return 0 end
  redis.call('HSET', keys[1], args[1], args[3])
  if args[4] ~= '' then redis.call('HSET', keys[2], args[1], args[4]) end
  if keys[3] then redis.call('SET', keys[3], args[5]) end
  return 1
end
redis.register_function('ca_replace_credentials', replace_credentials)
