/// The arguments of a call as the body of a request: an object by the names of the parameters, or a list by position.
/// Known to be well-formed; nothing is built of it before it is known which types are meant.
///
/// What a value means where a type is declared is as in `JSONArguments`, and besides a string of digits is an int
/// wherever one is declared, since many readers of JSON cannot hold more than 53 bits.
package struct JSONBody: ~Escapable {
  /// One argument as it is written.
  internal struct Entry {
    var name: String?
    var start: Int
    /// The position in the shape of its first list or object.
    var container: Int
  }

  private let text: RawSpan
  private let shape: JSONShape
  internal private(set) var entries: ContiguousArray<Entry> = []
  /// Whether it is an object.
  package let isNamed: Bool

  /// - Throws: `JSONError` where the text is not one JSON object or list, or names something twice. No text at all is no
  ///   arguments.
  @_lifetime(copy text)
  package init(_ text: RawSpan) throws(JSONError) {
    self.text = text
    var reader = JSONReader(text)
    var shape = JSONShape()
    var isNamed = false
    reader.skipSpace()
    if reader.current != nil {
      guard reader.isUTF8 else { throw JSONError("the text is not valid UTF-8", at: 0) }
      switch reader.current {
      case UInt8(ascii: "{"):
        isNamed = true
        try Self.readObject(&reader, &shape, &entries)
      case UInt8(ascii: "["): try Self.readList(&reader, &shape, &entries)
      default:
        throw JSONError(
          "expected an object of arguments by name or a list of them, found \(reader.found(at: reader.offset))",
          at: reader.offset)
      }
      reader.skipSpace()
      try reader.finish()
    }
    self.shape = shape
    self.isNamed = isNamed
  }

  private static func readObject(
    _ reader: inout JSONReader, _ shape: inout JSONShape, _ entries: inout ContiguousArray<Entry>
  ) throws(JSONError) {
    try reader.passMembers { (reader, key) throws(JSONError) in
      let name = try Self.name(key, reader)
      guard !entries.contains(where: { $0.name?.hasSameUTF8(as: name) ?? false }) else {
        throw JSONError("the key '\(name.prefix(64))' occurs twice", at: key.range.lowerBound)
      }
      try Self.pass(&reader, &shape, &entries, name: name)
    }
  }

  private static func readList(
    _ reader: inout JSONReader, _ shape: inout JSONShape, _ entries: inout ContiguousArray<Entry>
  ) throws(JSONError) {
    try reader.passItems { (reader) throws(JSONError) in
      try Self.pass(&reader, &shape, &entries, name: nil)
    }
  }

  private static func pass(
    _ reader: inout JSONReader, _ shape: inout JSONShape, _ entries: inout ContiguousArray<Entry>,
    name: String?
  ) throws(JSONError) {
    guard entries.count < WireLimits.arityMax else {
      throw JSONError("more arguments than the limit of \(WireLimits.arityMax)", at: reader.offset)
    }
    reader.skipSpace()
    entries.append(Entry(name: name, start: reader.offset, container: shape.counts.count))
    // The list of the arguments is not part of what each of them is.
    try reader.passValue(shape: &shape)
    reader.skipSpace()
  }

  private static func name(_ key: JSONText, _ reader: JSONReader) throws(JSONError) -> String {
    guard key.isEscaped else { return reader.text(key.range, max: WireLimits.nameBytesMax + 1) }
    var queue = ByteQueue()
    try reader.appendUnescaped(key, to: &queue)
    return queue.text
  }

  /// How many there are.
  package var count: Int { entries.count }

  /// The names that are given, in their order; empty for a list.
  package var names: [String] { entries.compactMap(\.name) }

  /// Where the argument of this name is.
  package func position(of name: String) -> Int? {
    entries.firstIndex { $0.name?.hasSameUTF8(as: name) ?? false }
  }

  /// The narrowest type that describes an argument as it stands.
  package func type(at position: Int) -> ValueType {
    var reader = JSONReader(text)
    reader.offset = entries[position].start
    guard let type = try? reader.describeValue() else { preconditionFailure("the text was looked through") }
    return type
  }

  /// Appends a MessagePack list of arguments as `types`.
  ///
  /// - Parameter positions: where each of them stands here; for nil the value that its type has where nothing is said.
  /// - Throws: which argument does not fit, and why. What was appended until then stays.
  package func encode(
    _ positions: [Int?], as types: [ValueType], to output: inout ByteQueue
  ) throws(JSONMismatch) {
    output.appendListHeader(count: types.count)
    var encoder = JSONToMessagePack(shape: shape)
    encoder.takesIntegersAsText = true
    var reader = JSONReader(text)
    for (index, type) in types.enumerated() {
      guard let position = positions[index] else {
        output.appendDefault(of: type)
        continue
      }
      let entry = entries[position]
      reader.offset = entry.start
      encoder.nextContainer = entry.container
      do throws(JSONMismatch) {
        try encoder.encodeArgument(&reader, as: type, to: &output)
      } catch {
        let name = entry.name.map { "'\($0)'" } ?? "\(index + 1)"
        throw JSONMismatch("argument \(name): \(error.message)")
      }
    }
  }
}

extension ByteQueue {
  /// The value that a type has where none is given, as protobuf's JSON leaves it out: 0, false, empty, or null.
  fileprivate mutating func appendDefault(of type: ValueType) {
    switch type {
    case .int: appendInt(0)
    case .float: appendDouble(0)
    case .string: appendStringHeader(byteCount: 0)
    case .bool: appendBool(false)
    case .bytes: appendBinaryHeader(byteCount: 0)
    case .list: appendListHeader(count: 0)
    case .dict: appendMapHeader(count: 0)
    case .none, .any, .optional, .unknown: appendNil()
    }
  }
}
