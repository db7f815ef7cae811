/// Where the fields of a request stand in its line: found in one pass that builds nothing, so that a line costs
/// little before it is known who may call what it asks for.
internal struct JSONRequestFields {
  enum Field: String, CaseIterable {
    case id, service, rpc, arguments, timeout, client
    case argumentTypes = "argument-types"
    case returnTypes = "return-types"
  }

  /// Whether the line is an object.
  private(set) var isObject = false
  /// Where `header` and `value` stand, where the line has them.
  private(set) var header: Range<Int>?
  private(set) var value: Range<Int>?
  private(set) var valueIsObject = false
  private var ranges: [Field: Range<Int>] = [:]
  /// The shape of the arguments.
  private(set) var arguments = JSONShape()
  /// What is wrong with the keys, though all of it is JSON.
  private(set) var problem: String?

  /// - Throws: `JSONError` where the line is not JSON.
  init(_ line: RawSpan) throws(JSONError) {
    var reader = JSONReader(line)
    guard reader.isUTF8 else { throw JSONError("the text is not valid UTF-8", at: 0) }
    var ignored = JSONShape()
    reader.skipSpace()
    if reader.current == UInt8(ascii: "{") {
      isObject = true
      try readObject(&reader) { (fields, reader, key) throws(JSONError) in
        switch key {
        case "header":
          if fields.header != nil { fields.note("the key 'header' occurs twice") }
          fields.header = try Self.pass(&reader, &ignored)
        case "value":
          if fields.value != nil { fields.note("the key 'value' occurs twice") }
          let start = reader.offset
          reader.skipSpace()
          if reader.current == UInt8(ascii: "{") {
            fields.valueIsObject = true
            try fields.readValue(&reader)
          } else {
            try reader.passValue(depth: 1, shape: &ignored)
          }
          fields.value = start..<reader.offset
        default: _ = try Self.pass(&reader, &ignored)
        }
      }
    } else {
      try reader.passValue(shape: &ignored)
    }
    reader.skipSpace()
    try reader.finish()
  }

  private mutating func readValue(_ reader: inout JSONReader) throws(JSONError) {
    try readObject(&reader) { (fields, reader, key) throws(JSONError) in
      var shape = JSONShape()
      let range = try Self.pass(&reader, &shape)
      guard let field = Field(rawValue: key) else {
        fields.note(
          "'\(key.prefix(40))' is not a field of a request, which has id, service, rpc, arguments, argument-types, return-types, timeout, client"
        )
        return
      }
      // The first id is the one that the answer has.
      guard fields.ranges[field] == nil else { return fields.note("the key '\(key)' occurs twice") }
      fields.ranges[field] = range
      if field == .arguments { fields.arguments = shape }
    }
  }

  /// Calls `body` at each value with its key.
  private mutating func readObject(
    _ reader: inout JSONReader,
    _ body: (inout JSONRequestFields, inout JSONReader, String) throws(JSONError) -> Void
  ) throws(JSONError) {
    try reader.passMembers { (reader, key) throws(JSONError) in
      try body(&self, &reader, Self.name(key, reader))
    }
  }

  /// A key as text, cut where it is longer than any that means something.
  private static func name(_ key: JSONText, _ reader: JSONReader) -> String {
    guard key.isEscaped, key.range.count < 256 else { return reader.text(key.range, max: 64) }
    var queue = ByteQueue()
    guard (try? reader.appendUnescaped(key, to: &queue)) != nil else {
      return reader.text(key.range, max: 64)
    }
    return queue.text
  }

  /// Passes over one value and returns where it stands. A field's value may nest as deep as any.
  private static func pass(_ reader: inout JSONReader, _ shape: inout JSONShape) throws(JSONError) -> Range<
    Int
  > {
    let start = reader.offset
    // The list of the arguments is not part of what each of them is.
    try reader.passValue(depth: -1, shape: &shape)
    return start..<reader.offset
  }

  private mutating func note(_ problem: String) {
    if self.problem == nil { self.problem = problem }
  }

  subscript(field: Field) -> Range<Int>? { ranges[field] }

  /// The id as it is written; nil where there is none, or one that is too long to be kept.
  func id(in line: RawSpan) -> JSONDialect.ID? {
    guard let range = ranges[.id], range.count <= WireLimits.jsonIDBytesMax else { return nil }
    return Self.id(line.extracting(range))
  }

  private static func id(_ text: RawSpan) -> JSONDialect.ID {
    unsafe JSONDialect.ID(json: text.withUnsafeBytes { unsafe Array($0) })
  }

  // MARK: Lines that are not JSON

  /// The id of a line that is not JSON, where one can be found: the value of a key "id" of the object "value", wherever
  /// in the line it is wrong besides.
  static func findID(in line: RawSpan) -> JSONDialect.ID? {
    var reader = JSONReader(line)
    var depth = 0
    var isInValue = false
    while let byte = reader.current {
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: "\""):
        guard let text = passRoughly(&reader) else { return nil }
        let name = reader.text(text, max: 8)
        var ahead = reader
        ahead.skipSpace()
        guard ahead.current == UInt8(ascii: ":") else { continue }
        if depth == 1 { isInValue = name == "value" }
        guard depth == 2, isInValue, name == "id" else { continue }
        ahead.offset += 1
        ahead.skipSpace()
        let start = ahead.offset
        var shape = JSONShape()
        guard (try? ahead.passValue(shape: &shape)) != nil, ahead.offset - start <= WireLimits.jsonIDBytesMax
        else { continue }
        let end = ahead.offset
        ahead.skipSpace()
        // A number that the line breaks off in may be another one.
        guard ahead.current == UInt8(ascii: ",") || ahead.current == UInt8(ascii: "}") else { continue }
        let value = line.extracting(start..<end)
        guard JSONReader(value).isUTF8 else { return nil }
        return id(value)
      default: break
      }
      reader.offset += 1
    }
    return nil
  }

  /// Passes over a string, whatever it holds; nil where it does not end.
  private static func passRoughly(_ reader: inout JSONReader) -> Range<Int>? {
    let start = reader.offset + 1
    reader.offset = start
    while let byte = reader.current {
      reader.offset += byte == UInt8(ascii: "\\") ? 2 : 1
      if byte == UInt8(ascii: "\"") { return start..<reader.offset - 1 }
    }
    return nil
  }
}
