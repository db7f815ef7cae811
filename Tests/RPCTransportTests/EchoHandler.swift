import RPCWire

@testable import RPCTransport

/// Echoes frames of a length byte and as many bytes, and stops when the output is above the mark.
final class EchoHandler: ConnectionHandler {
  var closedReason: CloseReason?
  var received = 0
  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    var offset = 0
    while offset < bytes.byteCount {
      if connection.isOverHighWater(output) { return offset }
      let length = Int(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
      guard bytes.byteCount - offset >= 1 + length else {
        connection.bytesWanted = 1 + length
        return offset
      }
      output.append(bytes.extracting(offset..<offset + 1 + length))
      offset += 1 + length
      received += 1
    }
    return offset
  }
  func inputEnded(on connection: Connection) { connection.closeAfterFlush() }
  func closed(_ connection: Connection, reason: CloseReason) {
    closedReason = reason
    connection.loop.stop()
  }

  static func frames(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<count {
      let length = index % 251
      bytes.append(UInt8(length))
      bytes.append(contentsOf: (0..<length).map { UInt8(truncatingIfNeeded: $0 &+ index) })
    }
    return bytes
  }
}
