-- Lists that travel in one argument.

-- Whether a word stands in a comma separated list. Word by word: a search for it in the whole takes the time of both lengths
-- multiplied, and an agent chooses both.
local function is_listed(word, list)
  for one in string.gmatch(list, '[^,]+') do
    if one == word then return true end
  end
  return false
end
