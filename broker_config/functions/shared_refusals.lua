-- Why an execution gets no message, in the words of its result.

local IN_QUARANTINE = 'the instance is in quarantine and gets no work; see: assist instance show, then: assist instance release'

local function queue_is_full(limit)
  return 'the queue of this instance already holds ' .. limit .. ' messages; wait for it or raise limits.queue_count'
end
