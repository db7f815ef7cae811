internal import RPCWire

/// Writes MessagePack values, whose types fit, as protobuf fields.
enum ProtoEncoder {
  /// One field with its number; what is zero or missing takes no bytes, as proto3 has it.
  @_lifetime(reader: copy reader)
  static func field(
    _ number: UInt32, _ form: ProtoForm, _ reader: inout MessagePackReader, depth: Int,
    to output: inout ByteQueue
  ) throws(WireError) {
    guard depth <= WireLimits.nestingDepthMax else {
      throw .nestedTooDeep(limit: WireLimits.nestingDepthMax)
    }
    switch form {
    case .single(let element, let isOptional):
      if isOptional, try reader.peek() == .null { return try reader.readNil() }
      try single(number, element, &reader, omitsZero: !isOptional, depth: depth, to: &output)
    case .list(let element):
      let count = try reader.readListHeader()
      guard count > 0 else { return }
      guard element.isPacked else {
        for _ in 0..<count {
          try single(number, element, &reader, omitsZero: false, depth: depth + 1, to: &output)
        }
        return
      }
      let mark = output.beginField(number)
      for _ in 0..<count { try bare(element, &reader, to: &output) }
      output.endField(mark)
    case .map(let element):
      for _ in 0..<(try reader.readMapHeader()) {
        let mark = output.beginField(number)
        guard try reader.peek() == .string else { throw .nonStringKey }
        try single(1, .string, &reader, omitsZero: false, depth: depth + 1, to: &output)
        try single(2, element, &reader, omitsZero: false, depth: depth + 1, to: &output)
        output.endField(mark)
      }
    }
  }

  /// One value with its tag.
  @_lifetime(reader: copy reader)
  private static func single(
    _ number: UInt32, _ element: ProtoElement, _ reader: inout MessagePackReader, omitsZero: Bool, depth: Int,
    to output: inout ByteQueue
  ) throws(WireError) {
    switch element {
    case .int:
      let value = try reader.readInt()
      guard value != 0 || !omitsZero else { return }
      output.append(tag: number, .varint)
      output.append(varint: UInt64(bitPattern: value))
    case .float:
      let bits = try reader.readDouble().bitPattern
      guard bits != 0 || !omitsZero else { return }
      output.append(tag: number, .fixed64)
      output.append(littleEndian: bits)
    case .bool:
      let value = try reader.readBool()
      guard value || !omitsZero else { return }
      output.append(tag: number, .varint)
      output.append(value ? 1 : 0 as UInt8)
    case .null:
      try reader.readNil()
      guard !omitsZero else { return }
      output.append(tag: number, .varint)
      output.append(0 as UInt8)
    case .string:
      let count = try reader.readStringHeader()
      let bytes = reader.slice(try reader.readRaw(count))
      guard count > 0 || !omitsZero else { return }
      output.append(field: number, bytes)
    case .bytes:
      let range = try reader.readBinaryRange()
      guard !range.isEmpty || !omitsZero else { return }
      output.append(field: number, reader.slice(range))
    case .any:
      if omitsZero, try reader.peek() == .null { return try reader.readNil() }
      let mark = output.beginField(number)
      try ProtoAny.encode(&reader, depth: depth, to: &output)
      output.endField(mark)
    case .wrapper(let wrapper):
      let mark = output.beginField(number)
      try field(1, wrapper.form, &reader, depth: depth + 1, to: &output)
      output.endField(mark)
    }
  }

  /// One number of a packed list.
  @_lifetime(reader: copy reader)
  private static func bare(
    _ element: ProtoElement, _ reader: inout MessagePackReader, to output: inout ByteQueue
  ) throws(WireError) {
    switch element {
    case .int: output.append(varint: UInt64(bitPattern: try reader.readInt()))
    case .float: output.append(littleEndian: try reader.readDouble().bitPattern)
    case .bool: output.append(try reader.readBool() ? 1 : 0 as UInt8)
    default:
      try reader.readNil()
      output.append(0 as UInt8)
    }
  }
}
