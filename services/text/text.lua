-- One file may hold several procedures: each is the function of its name.

function join(words, separator)
  return table.concat(words, separator)
end

-- Two declared return values are simply two values.
function count(text)
  local words, letters = 0, 0
  for word in text:gmatch("%S+") do
    words = words + 1
    letters = letters + utf8.len(word)
  end
  return words, letters
end

function shout(text)
  return text:upper() .. "!"
end
