-- Read the states of many executions in one call.
--
-- KEYS  rows (hashes)
-- Returns one string: for each row its state and error code, 'State Code', or '' when the row is missing; joined by newlines.
-- An agent writes its own rows: what is no word of the ledger, or no row, reads as 'Error ExecutionException', so that it
-- cannot shift or end the reading of others.
local function is_word(text) return #text <= WORD_BYTES and not string.find(text, '%A') end

local function execution_states(keys)
  local states = {}
  for index = 1, #keys do
    local row = redis.pcall('HMGET', keys[index], 'state', 'error_code')
    if row.err or not is_word(row[1] or '') or not is_word(row[2] or '') then
      states[index] = 'Error ExecutionException'
    elseif not row[1] then
      states[index] = ''
    elseif row[2] and row[2] ~= '' then
      states[index] = row[1] .. ' ' .. row[2]
    else
      states[index] = row[1]
    end
  end
  return table.concat(states, '\n')
end
redis.register_function { function_name = 'ca_execution_states', callback = execution_states, flags = { 'no-writes' } }
