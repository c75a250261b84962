-- The server's clock, by which all deadlines are judged, and whole numbers as they are stored.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua itself would write a large one with an exponent.
local function digits(number)
  return string.format('%.0f', number)
end
