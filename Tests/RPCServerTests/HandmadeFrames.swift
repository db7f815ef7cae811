import RPCWire

/// One frame as a peer would send it that thinks nothing of the rules.
func frame(
  _ kind: UInt8, flags: UInt8 = 0, length: UInt32? = nil, payload: [UInt8] = [], callID: UInt64 = 1
) -> [UInt8] {
  var queue = ByteQueue()
  queue.append(littleEndian: length ?? UInt32(payload.count))
  queue.append(kind)
  queue.append(flags)
  queue.append(littleEndian: 0 as UInt16)
  queue.append(littleEndian: callID)
  queue.append(payload)
  return queue.copy()
}

/// What an encoder writes.
func encoded(_ encode: (inout ByteQueue) -> Void) -> [UInt8] {
  var queue = ByteQueue()
  encode(&queue)
  return queue.copy()
}
