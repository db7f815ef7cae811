import GRPCCore

/// The messages of peer.proto as bytes, encoded by hand: nothing slower than protobuf's own code could be.
struct Message: Sendable {
  var bytes: [UInt8]
}

struct Serializer: MessageSerializer {
  func serialize<Bytes: GRPCContiguousBytes>(_ message: Message) throws -> Bytes { Bytes(message.bytes) }
}

struct Deserializer: MessageDeserializer {
  func deserialize<Bytes: GRPCContiguousBytes>(_ serialized: Bytes) throws -> Message {
    Message(bytes: serialized.withUnsafeBytes { Array($0) })
  }
}

enum Method {
  static let service = ServiceDescriptor(fullyQualifiedService: "peer.Math")
  static let add = MethodDescriptor(service: service, method: "Add")
  static let echo = MethodDescriptor(service: service, method: "Echo")
}

extension Message {
  static func pair(_ a: UInt64, _ b: UInt64) -> Message {
    Message(bytes: [0x08] + varint(a) + [0x10] + varint(b))
  }

  static func sum(_ sum: UInt64) -> Message { Message(bytes: [0x08] + varint(sum)) }

  static func blob(_ count: Int) -> Message {
    Message(bytes: [0x0a] + varint(UInt64(count)) + [UInt8](repeating: 0x61, count: count))
  }

  /// The two numbers of a pair.
  func readPair() -> (UInt64, UInt64) {
    var at = 1
    let a = readVarint(&at)
    at += 1
    return (a, readVarint(&at))
  }

  private func readVarint(_ at: inout Int) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { break }
      shift += 7
    }
    return value
  }

  private static func varint(_ value: UInt64) -> [UInt8] {
    var value = value
    var bytes: [UInt8] = []
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    return bytes + [UInt8(value)]
  }
}
