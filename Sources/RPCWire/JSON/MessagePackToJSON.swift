/// Writes MessagePack as JSON in one pass and without a value between: how results leave in the json dialect. What
/// is written is what `appendJSON` of the value would write.
extension ByteQueue {
  /// - Throws: `WireError` where the bytes are no value; what was appended until then stays.
  package mutating func appendJSON(messagePack reader: inout MessagePackReader) throws(WireError) {
    try appendJSON(messagePack: &reader, depth: 0)
  }

  private mutating func appendJSON(
    messagePack reader: inout MessagePackReader, depth: Int
  ) throws(WireError) {
    guard depth <= WireLimits.nestingDepthMax else { throw .nestedTooDeep(limit: WireLimits.nestingDepthMax) }
    switch try reader.peek() {
    case .null:
      try reader.readNil()
      append("null" as StaticString)
    case .bool: append(try reader.readBool() ? "true" : "false" as StaticString)
    case .int: appendDecimal(try reader.readInt())
    case .float: appendJSON(float: try reader.readDouble())
    case .string:
      append(UInt8(ascii: "\""))
      try appendEscapedString(&reader)
      append(UInt8(ascii: "\""))
    case .binary:
      append("{\"\(JSONConvention.bytesKey)\":\"")
      Base64.encode(reader.slice(try reader.readBinaryRange()), to: &self)
      append("\"}" as StaticString)
    case .list:
      let count = try reader.readListHeader()
      append(UInt8(ascii: "["))
      for index in 0..<count {
        if index > 0 { append(UInt8(ascii: ",")) }
        try appendJSON(messagePack: &reader, depth: depth + 1)
      }
      append(UInt8(ascii: "]"))
    case .map:
      let count = try reader.readMapHeader()
      append(UInt8(ascii: "{"))
      for index in 0..<count {
        if index > 0 { append(UInt8(ascii: ",")) }
        guard try reader.peek() == .string else { throw .nonStringKey }
        append(UInt8(ascii: "\""))
        try appendEscapedString(&reader)
        append("\":" as StaticString)
        try appendJSON(messagePack: &reader, depth: depth + 1)
      }
      append(UInt8(ascii: "}"))
    }
  }

  private mutating func appendEscapedString(_ reader: inout MessagePackReader) throws(WireError) {
    append(escaped: reader.slice(try reader.passString()))
  }

  /// Appends a number in decimal.
  internal mutating func appendDecimal(_ value: Int64) {
    guard value >= 10 || value < 0 else { return append(UInt8(ascii: "0") + UInt8(value)) }
    // From the last digit to the first, as many as 64 bits have: no text of its own is made.
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var first = digits.count
    var rest = value.magnitude
    repeat {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      first -= 1
      digits[first] = UInt8(ascii: "0") + UInt8(digit)
      rest = quotient
    } while rest > 0
    if value < 0 { append(UInt8(ascii: "-")) }
    for index in first..<digits.count { append(digits[index]) }
  }
}
