-- Replace the tags of a thing, and its places in the index of tags, if they are still as they were read.
--
-- KEYS  1 thing (hash)   then the sets of the index that it leaves, then those that it joins
-- ARGV  1 field that holds the tags   2 the field as it was read, '' = it was not there   3 new value   4 id of the thing
--       5 number of sets that it leaves
-- Returns 'ok' | 'unknown' | 'changed'
local function replace_tags(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then return 'unknown' end
  if (redis.call('HGET', keys[1], args[1]) or '') ~= args[2] then return 'changed' end
  redis.call('HSET', keys[1], args[1], args[3])
  local left = tonumber(args[5])
  for place = 2, #keys do
    redis.call(place <= left + 1 and 'SREM' or 'SADD', keys[place], args[4])
  end
  return 'ok'
end
redis.register_function('ca_replace_tags', replace_tags)
