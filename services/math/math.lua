function add(a, b)
  return a + b
end

function divide(dividend, divisor)
  if divisor == 0 then
    -- The caller gets an ExecutionException with this message and this line.
    error("cannot divide " .. dividend .. " by zero")
  end
  return dividend // divisor, dividend % divisor
end
