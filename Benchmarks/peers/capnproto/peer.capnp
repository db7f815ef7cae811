@0xd1f6a4f0b7c2e913;

interface Math {
  add @0 (a :Int64, b :Int64) -> (sum :Int64);
  echo @1 (data :Data) -> (data :Data);
}
