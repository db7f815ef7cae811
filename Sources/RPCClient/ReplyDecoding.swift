package import RPCWire

/// Writes the arguments as a MessagePack list.
@inlinable
internal func encodeArguments<each A: RPCValue>(_ arguments: repeat each A, to queue: inout ByteQueue) {
  var count = 0
  for _ in repeat (each A).self { count += 1 }
  queue.appendListHeader(count: count)
  repeat (each arguments).encode(to: &queue)
}

/// Reads a reply's payload as the types that the caller takes.
@inlinable
internal func decodeResults<each R: RPCValue>(
  _ payload: RawSpan, as results: repeat (each R).Type
) throws(WireError) -> (repeat each R) {
  var count = 0
  for _ in repeat (each R).self { count += 1 }
  var reader = MessagePackReader(payload)
  try checkArity(&reader, expected: count)
  return (repeat try (each R).decode(from: &reader))
}

/// The list header of a reply that is to have `expected` values. A caller that expects none takes any.
@usableFromInline
@_lifetime(reader: copy reader)
internal func checkArity(_ reader: inout MessagePackReader, expected: Int) throws(WireError) {
  let count = try reader.readListHeader()
  guard count == expected || expected == 0 else {
    throw .malformedFrame("it has \(English.count(count, "value")), the caller takes \(expected)")
  }
}

/// Reads a reply's payload as values.
internal func decodeValues(_ payload: RawSpan) throws(WireError) -> [Value] {
  var reader = MessagePackReader(payload)
  let count = try reader.readListHeader()
  guard count <= WireLimits.arityMax else {
    throw .tooMany(what: "return values", actual: count, limit: WireLimits.arityMax)
  }
  var values: [Value] = []
  values.reserveCapacity(count)
  for _ in 0..<count { values.append(try Value.decode(from: &reader)) }
  try reader.finish()
  return values
}
