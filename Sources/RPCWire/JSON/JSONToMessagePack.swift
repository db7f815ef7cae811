/// Writes JSON as MessagePack by declared types, in one pass and without a value between.
internal struct JSONToMessagePack: ~Copyable {
  private let shape: JSONShape
  /// The position in the shape of the next list or object.
  var nextContainer = 0
  /// Whether a string of digits is an int wherever one is declared, not as an argument alone.
  var takesIntegersAsText = false
  /// Where strings with escapes are written out, to see how long they are.
  private var unescaped = ByteQueue()
  private var keys = KeyRanges()

  init(shape: JSONShape) {
    self.shape = shape
  }

  private mutating func takeCount() -> Int {
    defer { nextContainer += 1 }
    return Int(shape.counts[nextContainer])
  }

  // MARK: Values

  /// Encodes the value at which `reader` stands, and passes over it.
  mutating func encode(
    _ reader: inout JSONReader, as type: ValueType, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    reader.skipSpace()
    let start = reader.offset
    switch (type, reader.current) {
    case (.optional(let wrapped), let first):
      guard first == UInt8(ascii: "n") else { return try encode(&reader, as: wrapped, to: &output) }
      reader.offset += 4
      output.appendNil()
    case (.any, _), (.unknown, _): try encodeAny(&reader, to: &output)
    case (.none, UInt8(ascii: "n")):
      reader.offset += 4
      output.appendNil()
    case (.bool, UInt8(ascii: "t")):
      reader.offset += 4
      output.appendBool(true)
    case (.bool, UInt8(ascii: "f")):
      reader.offset += 5
      output.appendBool(false)
    case (.int, .some(let first)) where Self.startsNumber(first):
      switch Self.number(&reader) {
      case .int(let value): output.appendInt(value)
      case .wideInt(let range):
        throw JSONMismatch("\(reader.excerpt(range)) does not fit a signed 64-bit integer")
      case .fraction: throw mismatch(reader, at: start, type)
      }
    case (.int, UInt8(ascii: "\"")) where takesIntegersAsText:
      guard let value = Int64(reader.text(Self.string(&reader).range, max: 24)) else {
        throw mismatch(reader, at: start, type)
      }
      output.appendInt(value)
    case (.float, .some(let first)) where Self.startsNumber(first):
      try appendFloat(Self.number(&reader), reader, to: &output)
    case (.float, UInt8(ascii: "\"")):
      let name = reader.text(Self.string(&reader).range, max: 16)
      guard let value = JSONConvention.nonFinite(named: name) else { throw mismatch(reader, at: start, type) }
      output.appendDouble(value)
    case (.string, UInt8(ascii: "\"")): try appendString(Self.string(&reader), reader, to: &output)
    case (.bytes, UInt8(ascii: "\"")): try appendBase64(Self.string(&reader), reader, to: &output)
    case (.bytes, UInt8(ascii: "{")):
      guard try encodeTaggedBytes(&reader, to: &output) else { throw mismatch(reader, at: start, type) }
    case (.list(let element), UInt8(ascii: "[")): try encodeList(&reader, of: element, to: &output)
    case (.dict(let element), UInt8(ascii: "{")): try encodeMap(&reader, of: element, to: &output)
    default: throw mismatch(reader, at: start, type)
    }
  }

  private mutating func encodeAny(
    _ reader: inout JSONReader, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    switch reader.current {
    case UInt8(ascii: "{"):
      if try !encodeTaggedBytes(&reader, to: &output) { try encodeMap(&reader, of: .any, to: &output) }
    case UInt8(ascii: "["): try encodeList(&reader, of: .any, to: &output)
    case UInt8(ascii: "\""): try encode(&reader, as: .string, to: &output)
    case UInt8(ascii: "t"), UInt8(ascii: "f"): try encode(&reader, as: .bool, to: &output)
    case UInt8(ascii: "n"): try encode(&reader, as: .none, to: &output)
    default:
      if let value = reader.readShortInteger() { return output.appendInt(value) }
      let start = reader.offset
      if case .fraction = Self.number(&reader) {
        reader.offset = start
        return try encode(&reader, as: .float, to: &output)
      }
      reader.offset = start
      try encode(&reader, as: .int, to: &output)
    }
  }

  private mutating func encodeList(
    _ reader: inout JSONReader, of element: ValueType, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    let count = takeCount()
    output.appendListHeader(count: count)
    reader.offset += 1
    let takesIntegers = element == .int || element == .any
    for _ in 0..<count {
      reader.skipSpace()
      if takesIntegers, let value = reader.readShortInteger() {
        output.appendInt(value)
      } else {
        try encode(&reader, as: element, to: &output)
      }
      Self.passSeparator(&reader)
    }
    if count == 0 { Self.passSeparator(&reader) }
  }

  private mutating func encodeMap(
    _ reader: inout JSONReader, of element: ValueType, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    let count = takeCount()
    output.appendMapHeader(count: count)
    let firstKey = keys.begin()
    reader.offset += 1
    for _ in 0..<count {
      reader.skipSpace()
      let key = Self.string(&reader)
      try appendString(key, reader, to: &output, isKey: true)
      // The colon.
      Self.passSeparator(&reader)
      try encode(&reader, as: element, to: &output)
      Self.passSeparator(&reader)
    }
    if count == 0 { Self.passSeparator(&reader) }
    if let key = keys.end(firstKey, in: output) { throw JSONMismatch("the key '\(key)' occurs twice") }
  }

  /// Encodes an object that is exactly `{"$bytes":"<base64>"}`, or leaves it and returns false.
  private mutating func encodeTaggedBytes(
    _ reader: inout JSONReader, to output: inout ByteQueue
  ) throws(JSONMismatch) -> Bool {
    guard shape.counts[nextContainer] == 1 else { return false }
    var ahead = reader
    ahead.offset += 1
    ahead.skipSpace()
    guard ahead.means(Self.string(&ahead), JSONConvention.bytesKey) else { return false }
    Self.passSeparator(&ahead)
    ahead.skipSpace()
    guard ahead.current == UInt8(ascii: "\"") else { return false }
    let text = Self.string(&ahead)
    guard let bytes = try base64(text, ahead) else { return false }
    Self.passSeparator(&ahead)
    nextContainer += 1
    reader.offset = ahead.offset
    output.appendBinary(bytes)
    return true
  }

  // MARK: Scalars

  private func appendFloat(
    _ number: JSONNumber, _ reader: JSONReader, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    switch number {
    case .int(let value): output.appendDouble(Double(value))
    case .wideInt(let range), .fraction(let range):
      guard let value = reader.float(range) else {
        throw JSONMismatch("\(reader.excerpt(range)) does not fit a float")
      }
      output.appendDouble(value)
    }
  }

  private mutating func appendString(
    _ text: JSONText, _ reader: JSONReader, to output: inout ByteQueue, isKey: Bool = false
  ) throws(JSONMismatch) {
    let count: Int
    if text.isEscaped {
      try unescape(text, reader)
      count = unescaped.count
      output.appendStringHeader(byteCount: count)
      output.append(contentsOf: unescaped)
    } else {
      count = text.range.count
      output.appendStringHeader(byteCount: count)
      output.append(reader.bytes.extracting(text.range))
    }
    if isKey { keys.append(output.count - count..<output.count) }
  }

  private mutating func unescape(_ text: JSONText, _ reader: JSONReader) throws(JSONMismatch) {
    unescaped.removeAll()
    do {
      try reader.appendUnescaped(text, to: &unescaped)
    } catch {
      throw JSONMismatch("the str \"\(reader.excerpt(text.range))\" holds \(error.message)")
    }
  }

  private mutating func appendBase64(
    _ text: JSONText, _ reader: JSONReader, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    guard let bytes = try base64(text, reader) else {
      throw JSONMismatch("a str that is not base64 where bytes are declared")
    }
    output.appendBinary(bytes)
  }

  private mutating func base64(_ text: JSONText, _ reader: JSONReader) throws(JSONMismatch) -> [UInt8]? {
    guard text.isEscaped else { return Base64.decode(reader.bytes.extracting(text.range)) }
    try unescape(text, reader)
    return Base64.decode(unescaped.bytes)
  }

  // MARK: Arguments

  /// Encodes an argument: a string is read as the text of its type.
  mutating func encodeArgument(
    _ reader: inout JSONReader, as type: ValueType, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    reader.skipSpace()
    guard reader.current == UInt8(ascii: "\""), !type.isTextual else {
      return try encode(&reader, as: type, to: &output)
    }
    try unescape(Self.string(&reader), reader)
    let text = unescaped.copy()
    try Self.encode(text: unsafe text.span.bytes, as: type, to: &output)
  }

  private static func encode(
    text: RawSpan, as type: ValueType, to output: inout ByteQueue
  ) throws(JSONMismatch) {
    var reader = JSONReader(text)
    let word = reader.text(0..<text.byteCount, max: 16)
    switch type {
    case .optional(let wrapped):
      guard word == "null" || word == "None" else { return try encode(text: text, as: wrapped, to: &output) }
      return output.appendNil()
    case .none where word == "None": return output.appendNil()
    case .bool where word == "True" || word == "False": return output.appendBool(word == "True")
    case .bytes:
      guard let bytes = Base64.decode(text) else {
        throw JSONMismatch("a str that is not base64 where bytes are declared")
      }
      return output.appendBinary(bytes)
    case .float:
      if let value = JSONConvention.nonFinite(named: word) { return output.appendDouble(value) }
    default: break
    }
    var shape = JSONShape()
    do throws(JSONError) {
      try reader.passValue(shape: &shape)
      reader.skipSpace()
      try reader.finish()
    } catch {
      throw JSONMismatch("'\(reader.excerpt(0..<text.byteCount))' cannot be read as \(type): \(error)")
    }
    var inner = JSONReader(text)
    var encoder = JSONToMessagePack(shape: shape)
    try encoder.encode(&inner, as: type, to: &output)
  }

  // MARK: Tokens of well-formed text

  private static func startsNumber(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func number(_ reader: inout JSONReader) -> JSONNumber {
    guard let number = try? reader.readNumber() else { preconditionFailure("the text was looked through") }
    return number
  }

  private static func string(_ reader: inout JSONReader) -> JSONText {
    guard let text = try? reader.passString() else { preconditionFailure("the text was looked through") }
    return text
  }

  /// Passes over a comma, a colon, or the end of a list or an object.
  private static func passSeparator(_ reader: inout JSONReader) {
    reader.skipSpace()
    reader.offset += 1
  }

  private func mismatch(_ reader: JSONReader, at start: Int, _ type: ValueType) -> JSONMismatch {
    var found = JSONReader(reader.bytes)
    found.offset = start
    let description = (try? found.describeValue()).map { "\($0)" } ?? "something else"
    let range = start..<found.offset
    let text = range.count <= 60 ? reader.text(range) : reader.excerpt(range)
    return JSONMismatch("expected \(type), found \(description) \(text)")
  }
}

/// Where the keys of the maps that are being written stand in the output.
private struct KeyRanges {
  private var ranges: ContiguousArray<(start: Int, count: Int)> = []
  /// Up to so many keys are compared each with each: cheaper than a table.
  private static let comparedMax = 8

  /// Begins a map; `end` gets what this returns.
  func begin() -> Int { ranges.count }

  mutating func append(_ range: Range<Int>) { ranges.append((range.lowerBound, range.count)) }

  /// Ends a map: returns a key that it has twice.
  mutating func end(_ first: Int, in output: borrowing ByteQueue) -> String? {
    defer { ranges.removeSubrange(first...) }
    return unsafe output.withReadable { bytes in
      func key(_ index: Int) -> UnsafeRawBufferPointer {
        let range = ranges[index]
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[range.start..<range.start + range.count])
      }
      guard let twice = unsafe firstRepeated(first, key) else { return nil }
      return unsafe String(decoding: key(twice).prefix(40), as: UTF8.self)
    }
  }

  private func firstRepeated(_ first: Int, _ key: (Int) -> UnsafeRawBufferPointer) -> Int? {
    let count = ranges.count - first
    guard count > Self.comparedMax else {
      for index in first..<ranges.count {
        for earlier in first..<index where unsafe key(earlier).elementsEqual(key(index)) { return index }
      }
      return nil
    }
    var slots = 32
    while slots < 2 * count { slots *= 2 }
    var table = ContiguousArray<Int32>(repeating: -1, count: slots)
    for index in first..<ranges.count {
      // Hasher is seeded at random: nobody can choose keys that collide.
      var hasher = Hasher()
      unsafe hasher.combine(bytes: key(index))
      var slot = hasher.finalize() & (slots - 1)
      while table[slot] >= 0 {
        if unsafe key(Int(table[slot])).elementsEqual(key(index)) { return index }
        slot = (slot + 1) & (slots - 1)
      }
      table[slot] = Int32(index)
    }
    return nil
  }
}

extension ValueType {
  /// Whether text of this type means itself, `Optional[str]` included.
  internal var isTextual: Bool {
    switch self {
    case .string, .any, .unknown: true
    case .optional(let wrapped): wrapped.isTextual
    default: false
    }
  }
}
