/// Writes a result as JSON by its declared type, as protobuf's JSON writes it: bytes are base64, and an int that a
/// reader with doubles alone would round, beyond ±2^53, is a string. Where `Any` is declared nothing tells what a string
/// stands for, so bytes are `{"$bytes":"…"}` there.
extension ByteQueue {
  /// - Throws: `WireError` where the bytes are no value; what was appended until then stays.
  package mutating func appendJSON(
    messagePack reader: inout MessagePackReader, as type: ValueType
  ) throws(WireError) {
    try appendJSON(messagePack: &reader, as: type, depth: 0)
  }

  private mutating func appendJSON(
    messagePack reader: inout MessagePackReader, as type: ValueType, depth: Int
  ) throws(WireError) {
    guard depth <= WireLimits.nestingDepthMax else { throw .nestedTooDeep(limit: WireLimits.nestingDepthMax) }
    let kind = try reader.peek()
    switch (type, kind) {
    case (.optional(let wrapped), _) where kind != .null:
      try appendJSON(messagePack: &reader, as: wrapped, depth: depth)
    case (_, .int): appendJSON(wide: try reader.readInt())
    case (.bytes, .binary):
      append(UInt8(ascii: "\""))
      Base64.encode(reader.slice(try reader.readBinaryRange()), to: &self)
      append(UInt8(ascii: "\""))
    case (_, .list):
      let element = type.element
      let count = try reader.readListHeader()
      append(UInt8(ascii: "["))
      for index in 0..<count {
        if index > 0 { append(UInt8(ascii: ",")) }
        try appendJSON(messagePack: &reader, as: element, depth: depth + 1)
      }
      append(UInt8(ascii: "]"))
    case (_, .map):
      let element = type.element
      let count = try reader.readMapHeader()
      append(UInt8(ascii: "{"))
      for index in 0..<count {
        if index > 0 { append(UInt8(ascii: ",")) }
        guard try reader.peek() == .string else { throw .nonStringKey }
        // A string, whose quotes and escapes are the same everywhere.
        try appendJSON(messagePack: &reader)
        append(UInt8(ascii: ":"))
        try appendJSON(messagePack: &reader, as: element, depth: depth + 1)
      }
      append(UInt8(ascii: "}"))
    default: try appendJSON(messagePack: &reader)
    }
  }

  /// The largest magnitude up to which a double holds every integer.
  private static let exactIntegerMax: UInt64 = 1 << 53

  private mutating func appendJSON(wide value: Int64) {
    let isWide = value.magnitude > Self.exactIntegerMax
    if isWide { append(UInt8(ascii: "\"")) }
    appendDecimal(value)
    if isWide { append(UInt8(ascii: "\"")) }
  }
}

extension ValueType {
  /// What its elements are declared as.
  fileprivate var element: ValueType {
    switch self {
    case .list(let element), .dict(let element): element
    case .optional(let wrapped): wrapped.element
    default: .any
    }
  }
}
