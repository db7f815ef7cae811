function rpc2(numbers, words)
  local parts = {}
  for index, number in ipairs(numbers) do
    parts[#parts + 1] = number .. (words[index] or "")
  end
  return table.concat(parts, " ")
end
