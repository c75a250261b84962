-- Words of rows, which an agent may make as long as it likes, and lists of them that travel in one argument.

-- Longer than any state, code or moment.
local WORD_BYTES = 64
-- Longer than all states together.
local LIST_BYTES = 1024

-- What is answered of a row: whoever reads many must not be given any length.
local function short(word)
  return word and string.sub(word, 1, WORD_BYTES)
end

-- Whether a word stands in a comma separated list. Word by word: a search for it in the whole takes the time of both lengths
-- multiplied, and an agent chooses both.
local function is_listed(word, list)
  if #list > LIST_BYTES then return false end
  for one in string.gmatch(list, '[^,]+') do
    if one == word then return true end
  end
  return false
end
