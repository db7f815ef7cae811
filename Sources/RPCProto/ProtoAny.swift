internal import RPCWire

/// A declared `Any` as `google.protobuf.Value`, whose numbers are doubles: what those cannot tell is an object with one
/// key. `{"$int": "9007199254740993"}` is an int beyond 2⁵³, `{"$float": "NaN"}` a float that JSON has no number for,
/// `{"$bytes": "<base64>"}` bytes. A number without a fraction is an int.
enum ProtoAny {
  private static let exactMax: Int64 = 1 << 53
  static let intKey = "$int"
  static let floatKey = "$float"
  static let bytesKey = "$bytes"

  // The fields of google/protobuf/struct.proto.
  private static let nullField: UInt32 = 1
  private static let numberField: UInt32 = 2
  private static let stringField: UInt32 = 3
  private static let boolField: UInt32 = 4
  private static let structField: UInt32 = 5
  private static let listField: UInt32 = 6

  // MARK: From protobuf

  static func decode(
    _ bytes: RawSpan, _ range: Range<Int>, depth: Int, to output: inout ByteQueue
  ) throws(ProtoError) {
    guard depth <= WireLimits.nestingDepthMax else { throw .nestedTooDeep }
    var kind = ProtoTag(number: nullField, type: .varint)
    var bits: UInt64 = 0
    var part = 0..<0
    // Of several kinds the last counts; a list or a struct that comes in parts is all of them.
    var parts: [Range<Int>] = []
    var reader = ProtoReader(bytes, range)
    while !reader.isAtEnd {
      let tag = try reader.readTag()
      switch (tag.number, tag.type) {
      case (nullField, .varint), (boolField, .varint): bits = try reader.readVarint()
      case (numberField, .fixed64): bits = try reader.readFixed64()
      case (stringField, .bytes): part = try reader.readBytes()
      case (structField, .bytes), (listField, .bytes):
        if kind.number == tag.number { parts.append(part) } else { parts.removeAll() }
        part = try reader.readBytes()
      default:
        try reader.skip(tag)
        continue
      }
      kind = tag
    }
    switch kind.number {
    case numberField: number(Double(bitPattern: bits), to: &output)
    case stringField: try ProtoDecoder.text(bytes.extracting(part), to: &output)
    case boolField: output.appendBool(bits != 0)
    case structField, listField:
      guard !parts.isEmpty else {
        return try container(kind.number, bytes, part, depth: depth, to: &output)
      }
      var whole: [UInt8] = []
      for range in parts + [part] { bytes.extracting(range).withUnsafeBytes { whole.append(contentsOf: $0) } }
      try container(kind.number, whole.span.bytes, 0..<whole.count, depth: depth, to: &output)
    default: output.appendNil()
    }
  }

  private static func number(_ value: Double, to output: inout ByteQueue) {
    // There is one NaN, as in `$float`.
    guard !value.isNaN else { return output.appendDouble(.nan) }
    let isNegativeZero = value == 0 && value.sign == .minus
    if !isNegativeZero, value.magnitude <= Double(exactMax), let integer = Int64(exactly: value) {
      output.appendInt(integer)
    } else {
      output.appendDouble(value)
    }
  }

  /// A ListValue, or a Struct, whose fields are a map of Values.
  private static func container(
    _ kind: UInt32, _ bytes: RawSpan, _ range: Range<Int>, depth: Int, to output: inout ByteQueue
  ) throws(ProtoError) {
    let form: ProtoForm = kind == listField ? .list(.any) : .map(.any)
    var slot = ProtoSlot()
    var reader = ProtoReader(bytes, range)
    while !reader.isAtEnd {
      let tag = try reader.readTag()
      if tag.number == 1 { try slot.take(tag, form, &reader) } else { try reader.skip(tag) }
    }
    let start = output.count
    try ProtoDecoder.value(of: slot, 1, form, in: bytes, depth: depth, to: &output)
    if kind == structField { replaceSpecial(at: start, in: &output) }
  }

  /// Puts the value that an object with one `$` key means in its place.
  private static func replaceSpecial(at start: Int, in output: inout ByteQueue) {
    var special: Value?
    do throws(WireError) {
      var reader = MessagePackReader(output.bytes.extracting(start..<output.count))
      guard try reader.readMapHeader() == 1 else { return }
      let key = try reader.readString()
      guard key.utf8.first == UInt8(ascii: "$"), try reader.peek() == .string else { return }
      let text = try reader.readString()
      switch key {
      case intKey: special = Int64(text).flatMap { "\($0)" == text ? .int($0) : nil }
      case floatKey: special = Self.float(text)
      case bytesKey: special = Base64.decode(text).map { .bytes($0) }
      default: break
      }
    } catch {
      return
    }
    guard let special else { return }
    output.truncate(to: start)
    special.encode(to: &output)
  }

  private static func float(_ text: String) -> Value? {
    switch text {
    case "NaN": .float(.nan)
    case "Infinity": .float(.infinity)
    case "-Infinity": .float(-.infinity)
    default: nil
    }
  }

  // MARK: To protobuf

  @_lifetime(reader: copy reader)
  static func encode(
    _ reader: inout MessagePackReader, depth: Int, to output: inout ByteQueue
  ) throws(WireError) {
    guard depth <= WireLimits.nestingDepthMax else {
      throw .nestedTooDeep(limit: WireLimits.nestingDepthMax)
    }
    switch try reader.peek() {
    case .null:
      try reader.readNil()
      output.append(tag: nullField, .varint)
      output.append(0 as UInt8)
    case .bool:
      output.append(tag: boolField, .varint)
      output.append(try reader.readBool() ? 1 : 0 as UInt8)
    case .int:
      let value = try reader.readInt()
      guard value.magnitude <= exactMax else { return object(intKey, "\(value)", to: &output) }
      number(field: Double(value), to: &output)
    case .float:
      let value = try reader.readDouble()
      guard !value.isNaN else { return object(floatKey, "NaN", to: &output) }
      guard value.isFinite else {
        return object(floatKey, value < 0 ? "-Infinity" : "Infinity", to: &output)
      }
      number(field: value, to: &output)
    case .string:
      let count = try reader.readStringHeader()
      output.append(field: stringField, reader.slice(try reader.readRaw(count)))
    case .binary: object(bytesKey, Base64.encode(try reader.readBinary()), to: &output)
    case .list:
      let mark = output.beginField(listField)
      try ProtoEncoder.field(1, .list(.any), &reader, depth: depth, to: &output)
      output.endField(mark)
    case .map:
      let mark = output.beginField(structField)
      try ProtoEncoder.field(1, .map(.any), &reader, depth: depth, to: &output)
      output.endField(mark)
    }
  }

  private static func number(field value: Double, to output: inout ByteQueue) {
    output.append(tag: numberField, .fixed64)
    output.append(littleEndian: value.bitPattern)
  }

  /// A Struct with one text in it.
  private static func object(_ key: String, _ text: String, to output: inout ByteQueue) {
    let whole = output.beginField(structField)
    let entry = output.beginField(1)
    output.append(field: 1, Array(key.utf8).span.bytes)
    let value = output.beginField(2)
    output.append(field: stringField, Array(text.utf8).span.bytes)
    output.endField(value)
    output.endField(entry)
    output.endField(whole)
  }
}
