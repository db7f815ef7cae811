/// How many values each list and entries each object of a JSON text has, in the order in which they begin:
/// MessagePack writes the count in front, JSON shows it at the end.
internal struct JSONShape {
  fileprivate(set) var counts: ContiguousArray<UInt32> = []
}

/// Looking through JSON without building anything.
extension JSONReader {
  /// Passes over the next value, checking that it is JSON, and appends the shape of it.
  ///
  /// What only a declared type can judge is not checked: the size of numbers, halves of surrogate pairs, keys that
  /// occur twice.
  @_lifetime(self: copy self)
  internal mutating func passValue(depth: Int = 0, shape: inout JSONShape) throws(JSONError) {
    skipSpace()
    guard depth <= WireLimits.nestingDepthMax else {
      throw JSONError("lists and objects nest deeper than \(WireLimits.nestingDepthMax) levels", at: offset)
    }
    switch current {
    case UInt8(ascii: "{"): try passObject(depth: depth, shape: &shape)
    case UInt8(ascii: "["): try passList(depth: depth, shape: &shape)
    case UInt8(ascii: "\""): _ = try passString()
    case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): _ = try readNumber()
    case UInt8(ascii: "t"): try passWord("true")
    case UInt8(ascii: "f"): try passWord("false")
    case UInt8(ascii: "n"): try passWord("null")
    default: throw JSONError("expected a value, found \(found(at: offset))", at: offset)
    }
  }

  @_lifetime(self: copy self)
  private mutating func passList(depth: Int, shape: inout JSONShape) throws(JSONError) {
    let position = shape.counts.count
    shape.counts.append(0)
    var count: UInt32 = 0
    try passItems { (reader) throws(JSONError) in
      if reader.readShortInteger() == nil { try reader.passValue(depth: depth + 1, shape: &shape) }
      count += 1
    }
    shape.counts[position] = count
  }

  @_lifetime(self: copy self)
  private mutating func passObject(depth: Int, shape: inout JSONShape) throws(JSONError) {
    let position = shape.counts.count
    shape.counts.append(0)
    var count: UInt32 = 0
    try passMembers { (reader, _) throws(JSONError) in
      try reader.passValue(depth: depth + 1, shape: &shape)
      count += 1
    }
    shape.counts[position] = count
  }

  /// Passes over a list and calls `body` at each of its values, which it passes over.
  @_lifetime(self: copy self)
  @inline(__always)
  internal mutating func passItems(
    _ body: (inout JSONReader) throws(JSONError) -> Void
  ) throws(JSONError) {
    offset += 1
    skipSpace()
    guard current != UInt8(ascii: "]") else {
      offset += 1
      return
    }
    repeat {
      skipSpace()
      try body(&self)
      skipSpace()
    } while try passSeparator(UInt8(ascii: "]"), "a list")
  }

  /// Passes over an object and calls `body` at each of its values, with the key; it passes over the value.
  @_lifetime(self: copy self)
  @inline(__always)
  internal mutating func passMembers(
    _ body: (inout JSONReader, JSONText) throws(JSONError) -> Void
  ) throws(JSONError) {
    offset += 1
    skipSpace()
    guard current != UInt8(ascii: "}") else {
      offset += 1
      return
    }
    repeat {
      let key = try passKey()
      skipSpace()
      try body(&self, key)
      skipSpace()
    } while try passSeparator(UInt8(ascii: "}"), "an object")
  }

  /// Passes over a key and its colon.
  @_lifetime(self: copy self)
  internal mutating func passKey() throws(JSONError) -> JSONText {
    skipSpace()
    guard current == UInt8(ascii: "\"") else {
      throw JSONError("expected a key in double quotes, found \(found(at: offset))", at: offset)
    }
    let key = try passString()
    skipSpace()
    guard current == UInt8(ascii: ":") else {
      throw JSONError(
        "expected ':' after the key '\(excerpt(key.range))', found \(found(at: offset))", at: offset)
    }
    offset += 1
    return key
  }

  /// Passes over a comma, or over what ends a list or an object: then it returns false.
  @_lifetime(self: copy self)
  @inline(__always)
  internal mutating func passSeparator(_ end: UInt8, _ what: StaticString) throws(JSONError) -> Bool {
    switch current {
    case UInt8(ascii: ","):
      offset += 1
      return true
    case end:
      offset += 1
      return false
    default:
      throw JSONError(
        "expected ',' or '\(Character(Unicode.Scalar(end)))' in \(what), found \(found(at: offset))",
        at: offset)
    }
  }

  /// Whether a text is one JSON value, however large its numbers are.
  package static func isWellFormed(_ text: [UInt8]) -> Bool {
    var shape = JSONShape()
    var reader = unsafe JSONReader(text.span.bytes)
    do throws(JSONError) {
      try reader.passValue(depth: -1, shape: &shape)
      reader.skipSpace()
      try reader.finish()
      return true
    } catch {
      return false
    }
  }

  // MARK: Its type

  /// Passes over the next value, which is known to be JSON, and returns the narrowest type that describes it: as
  /// `ValueType(describing:)`. An integer beyond 64 bits is a float.
  @_lifetime(self: copy self)
  internal mutating func describeValue() throws(JSONError) -> ValueType {
    skipSpace()
    switch current {
    case UInt8(ascii: "{"):
      var element = ValueType.unknown
      try passMembers { (reader, _) throws(JSONError) in
        element = element.joined(with: try reader.describeValue())
      }
      return .dict(element)
    case UInt8(ascii: "["):
      var element = ValueType.unknown
      try passItems { (reader) throws(JSONError) in
        let next = try reader.describeValue()
        switch (element, next) {
        // What most lists are: nothing to join.
        case (.int, .int), (.float, .float), (.string, .string), (.bool, .bool): break
        default: element = element.joined(with: next)
        }
      }
      return .list(element)
    case UInt8(ascii: "\""):
      _ = try passString()
      return .string
    case UInt8(ascii: "t"):
      try passWord("true")
      return .bool
    case UInt8(ascii: "f"):
      try passWord("false")
      return .bool
    case UInt8(ascii: "n"):
      try passWord("null")
      return .none
    default:
      guard case .int = try readNumber() else { return .float }
      return .int
    }
  }
}
