extension ValueType {
  /// Reads one value in place and checks that it fits this type, building nothing. On return the reader
  /// stands behind the value.
  ///
  /// - Throws: `WireError.unexpectedType` naming both types, or what else is wrong with the bytes.
  public func check(_ reader: inout MessagePackReader) throws(WireError) {
    try check(&reader, depth: 0)
  }

  private func check(_ reader: inout MessagePackReader, depth: Int) throws(WireError) {
    guard depth <= WireLimits.nestingDepthMax else {
      throw .nestedTooDeep(limit: WireLimits.nestingDepthMax)
    }
    switch self {
    case .int: _ = try reader.readInt()
    case .float: _ = try reader.readDouble()
    case .bool: _ = try reader.readBool()
    case .none: try reader.readNil()
    case .string: try reader.passString()
    case .bytes: try reader.passBinary()
    case .optional(let wrapped):
      if case .null = try reader.peek() {
        try reader.readNil()
      } else {
        try wrapped.check(&reader, depth: depth)
      }
    case .list(let element):
      for _ in 0..<(try reader.readListHeader()) { try element.check(&reader, depth: depth + 1) }
    case .dict(let element):
      for _ in 0..<(try reader.readMapHeader()) {
        guard case .string = try reader.peek() else { throw .nonStringKey }
        try reader.passString()
        try element.check(&reader, depth: depth + 1)
      }
    case .any, .unknown:
      switch try reader.peek() {
      case .null: try reader.readNil()
      case .bool: _ = try reader.readBool()
      case .int: _ = try reader.readInt()
      case .float: _ = try reader.readDouble()
      case .string: try reader.passString()
      case .binary: try reader.passBinary()
      case .list: try ValueType.list(.any).check(&reader, depth: depth)
      case .map: try ValueType.dict(.any).check(&reader, depth: depth)
      }
    }
  }
}

extension MessagePackReader {
  /// Passes over a string, checking that it is UTF-8; returns where it stands.
  @discardableResult
  @_lifetime(self: copy self)
  internal mutating func passString() throws(WireError) -> Range<Int> {
    let count = try readStringHeader()
    let range = try readRaw(count)
    let valid = unsafe slice(range).withUnsafeBytes { bytes in
      // ASCII needs no decoder; anything else is validated as a whole.
      unsafe bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
    }
    guard valid else { throw .invalidUTF8 }
    return range
  }

  @_lifetime(self: copy self)
  internal mutating func passBinary() throws(WireError) {
    guard case .binary = try peek() else {
      throw .unexpectedType(expected: "bytes", found: try peek().rawValue)
    }
    try skip()
  }
}
