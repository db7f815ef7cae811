internal import RPCWire

/// What was found of one field while its message was passed over once.
struct ProtoSlot {
  /// How many fields of its number there were.
  var parts = 0
  /// How many values they hold.
  var count = 0
  /// From behind the first one's tag, or the beginning of its bytes, to the end of the last.
  var start = 0
  var end = 0
  /// The last one's value: a number, or where its bytes stand.
  var bits: UInt64 = 0
  var range = 0..<0
  /// The tag in front of `start`, of a list or a map.
  var firstTag = ProtoTag(number: 1, type: .varint)
  /// Bytes of the first message from `start` on, where there are several.
  var firstLength = 0

  /// Takes a field whose tag was read; one of another wire type is passed over, as an unknown field is.
  @inline(__always)
  @_lifetime(reader: copy reader)
  mutating func take(
    _ tag: ProtoTag, _ form: ProtoForm, _ reader: inout ProtoReader
  ) throws(ProtoError) {
    switch form {
    case .single(let element, _):
      guard tag.type == element.wireType else { return try reader.skip(tag) }
      switch tag.type {
      case .varint: bits = try reader.readVarint()
      case .fixed64: bits = try reader.readFixed64()
      default:
        range = try reader.readBytes()
        if parts == 0 {
          start = range.lowerBound
          firstLength = range.count
        }
        end = range.upperBound
      }
      parts += 1
    case .list(let element): try takePart(tag, element, &reader)
    case .map: try takePart(tag, .any, &reader)
    }
  }

  @_lifetime(reader: copy reader)
  private mutating func takePart(
    _ tag: ProtoTag, _ element: ProtoElement, _ reader: inout ProtoReader
  ) throws(ProtoError) {
    let before = reader.offset
    if tag.type == .bytes, element.isPacked {
      let range = try reader.readBytes()
      count += try Self.count(of: element, in: range, of: reader.bytes)
    } else if tag.type == element.wireType {
      try reader.skip(tag)
      count += 1
    } else {
      return try reader.skip(tag)
    }
    // Who reads the parts again begins behind the first tag.
    if parts == 0 {
      start = before
      firstTag = tag
    }
    parts += 1
    end = reader.offset
  }

  /// How many values are packed into a field.
  private static func count(
    of element: ProtoElement, in range: Range<Int>, of bytes: RawSpan
  ) throws(ProtoError) -> Int {
    if case .float = element {
      guard range.count % 8 == 0 else { throw ProtoError("\(range.count) bytes are no list of doubles") }
      return range.count / 8
    }
    // Every number ends with a byte below 0x80.
    var count = 0
    var last: UInt8 = 0
    for index in range {
      last = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
      if last < 0x80 { count += 1 }
    }
    guard last < 0x80 else { throw .truncated }
    return count
  }
}

/// Writes the values that stand in fields as MessagePack.
enum ProtoDecoder {
  /// The value of a field, of which `slot` tells where it stands in `bytes`.
  static func value(
    of slot: ProtoSlot, _ number: UInt32, _ form: ProtoForm, in bytes: RawSpan, depth: Int,
    to output: inout ByteQueue
  ) throws(ProtoError) {
    guard depth <= WireLimits.nestingDepthMax else { throw .nestedTooDeep }
    switch form {
    case .single(let element, let isOptional):
      guard slot.parts > 0 else { return missing(element, isOptional, to: &output) }
      if slot.parts > 1, element.isMessage {
        let whole = try merged(slot, number, in: bytes)
        return try single(element, 0, 0..<whole.count, in: whole.span.bytes, depth: depth, to: &output)
      }
      try single(element, slot.bits, slot.range, in: bytes, depth: depth, to: &output)
    case .list(let element):
      output.appendListHeader(count: slot.count)
      guard slot.parts > 0 else { return }
      var reader = ProtoReader(bytes, slot.start..<slot.end)
      var tag = slot.firstTag
      while true {
        if tag.number == number {
          try part(tag, element, &reader, depth: depth, to: &output)
        } else {
          try reader.skip(tag)
        }
        guard !reader.isAtEnd else { return }
        tag = try reader.readTag()
      }
    case .map(let element): try map(slot, number, element, in: bytes, depth: depth, to: &output)
    }
  }

  private static func missing(
    _ element: ProtoElement, _ isOptional: Bool, to output: inout ByteQueue
  ) {
    guard !isOptional else { return output.appendNil() }
    switch element {
    case .int: output.appendInt(0)
    case .float: output.appendDouble(0)
    case .bool: output.appendBool(false)
    case .null, .any: output.appendNil()
    case .string: output.appendStringHeader(byteCount: 0)
    case .bytes: output.appendBinaryHeader(byteCount: 0)
    case .wrapper: preconditionFailure("a wrapper is an element of something or optional")
    }
  }

  /// One part of a repeated field: one value, or several that are packed.
  @_lifetime(reader: copy reader)
  private static func part(
    _ tag: ProtoTag, _ element: ProtoElement, _ reader: inout ProtoReader, depth: Int,
    to output: inout ByteQueue
  ) throws(ProtoError) {
    if tag.type == .bytes, element.isPacked {
      var packed = ProtoReader(reader.bytes, try reader.readBytes())
      while !packed.isAtEnd { try number(element, &packed, to: &output) }
    } else if tag.type != element.wireType {
      try reader.skip(tag)
    } else if element.isPacked {
      try number(element, &reader, to: &output)
    } else {
      try single(element, 0, try reader.readBytes(), in: reader.bytes, depth: depth + 1, to: &output)
    }
  }

  @inline(__always)
  @_lifetime(reader: copy reader)
  private static func number(
    _ element: ProtoElement, _ reader: inout ProtoReader, to output: inout ByteQueue
  ) throws(ProtoError) {
    switch element {
    case .int: output.appendInt(Int64(bitPattern: try reader.readVarint()))
    case .float: output.appendDouble(Double(bitPattern: try reader.readFixed64()))
    case .bool: output.appendBool(try reader.readVarint() != 0)
    default:
      _ = try reader.readVarint()
      output.appendNil()
    }
  }

  /// One value, which is `bits` or stands at `range`.
  private static func single(
    _ element: ProtoElement, _ bits: UInt64, _ range: Range<Int>, in bytes: RawSpan, depth: Int,
    to output: inout ByteQueue
  ) throws(ProtoError) {
    switch element {
    case .int: output.appendInt(Int64(bitPattern: bits))
    case .float: output.appendDouble(Double(bitPattern: bits))
    case .bool: output.appendBool(bits != 0)
    case .null: output.appendNil()
    case .string: try text(bytes.extracting(range), to: &output)
    case .bytes:
      output.appendBinaryHeader(byteCount: range.count)
      output.append(bytes.extracting(range))
    case .any: try ProtoAny.decode(bytes, range, depth: depth, to: &output)
    case .wrapper(let wrapper):
      var slot = ProtoSlot()
      var reader = ProtoReader(bytes, range)
      while !reader.isAtEnd {
        let tag = try reader.readTag()
        if tag.number == 1 { try slot.take(tag, wrapper.form, &reader) } else { try reader.skip(tag) }
      }
      try value(of: slot, 1, wrapper.form, in: bytes, depth: depth + 1, to: &output)
    }
  }

  static func text(_ bytes: RawSpan, to output: inout ByteQueue) throws(ProtoError) {
    let isValid = unsafe bytes.withUnsafeBytes { bytes in
      unsafe bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
    }
    guard isValid else { throw .invalidUTF8 }
    output.appendStringHeader(byteCount: bytes.byteCount)
    output.append(bytes)
  }

  /// The parts of a message that came in several fields: what they say together is what their bytes say in a row.
  private static func merged(
    _ slot: ProtoSlot, _ number: UInt32, in bytes: RawSpan
  ) throws(ProtoError) -> [UInt8] {
    var whole = bytes.extracting(slot.start..<slot.start + slot.firstLength).withUnsafeBytes { Array($0) }
    var reader = ProtoReader(bytes, slot.start + slot.firstLength..<slot.end)
    while !reader.isAtEnd {
      let tag = try reader.readTag()
      guard tag.number == number, tag.type == .bytes else {
        try reader.skip(tag)
        continue
      }
      bytes.extracting(try reader.readBytes()).withUnsafeBytes { whole.append(contentsOf: $0) }
    }
    return whole
  }

  // MARK: Maps

  private struct Entry {
    var key: Range<Int>
    var value: ProtoSlot
  }

  /// An entry is a message with a key and a value; of two entries with one key the last counts.
  private static func map(
    _ slot: ProtoSlot, _ number: UInt32, _ element: ProtoElement, in bytes: RawSpan, depth: Int,
    to output: inout ByteQueue
  ) throws(ProtoError) {
    guard slot.parts > 0 else { return output.appendMapHeader(count: 0) }
    var entries: [Entry] = []
    var positions: [ArraySlice<UInt8>: Int] = [:]
    var reader = ProtoReader(bytes, slot.start..<slot.end)
    var tag = slot.firstTag
    while true {
      if tag.number == number, tag.type == .bytes {
        let entry = try entry(element, try reader.readBytes(), in: bytes)
        let key = bytes.extracting(entry.key).withUnsafeBytes { Array($0)[...] }
        if let position = slot.parts > 1 ? positions[key] : nil {
          entries[position] = entry
        } else {
          if slot.parts > 1 { positions[key] = entries.count }
          entries.append(entry)
        }
      } else {
        try reader.skip(tag)
      }
      guard !reader.isAtEnd else { break }
      tag = try reader.readTag()
    }
    output.appendMapHeader(count: entries.count)
    for entry in entries {
      try text(bytes.extracting(entry.key), to: &output)
      let form = ProtoForm.single(element, isOptional: false)
      if entry.value.parts == 0, case .wrapper = element {
        // A value that is not there is one whose message is empty.
        try single(element, 0, 0..<0, in: bytes, depth: depth + 1, to: &output)
      } else {
        try value(of: entry.value, 2, form, in: bytes, depth: depth + 1, to: &output)
      }
    }
  }

  private static func entry(
    _ element: ProtoElement, _ range: Range<Int>, in bytes: RawSpan
  ) throws(ProtoError) -> Entry {
    var entry = Entry(key: 0..<0, value: ProtoSlot())
    var reader = ProtoReader(bytes, range)
    while !reader.isAtEnd {
      let tag = try reader.readTag()
      if tag.number == 1, tag.type == .bytes {
        entry.key = try reader.readBytes()
      } else if tag.number == 2 {
        try entry.value.take(tag, .single(element, isOptional: false), &reader)
      } else {
        try reader.skip(tag)
      }
    }
    return entry
  }
}
