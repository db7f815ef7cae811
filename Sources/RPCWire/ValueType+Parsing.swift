extension ValueType {
  /// Why a text does not spell a type, and where.
  public struct SyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    /// Bytes from the start of the text.
    public var offset: Int
    public var description: String { message }
  }

  /// The names a type may start with, for suggestions.
  package static let names = [
    "int", "float", "str", "bool", "bytes", "None", "List", "Dict", "Optional", "Any",
  ]

  /// Reads a type such as `Dict[str, List[int]]`. Spaces between the parts do not matter.
  public init(parsing text: String) throws(SyntaxError) {
    guard text.utf8.count <= WireLimits.typeTextBytesMax else {
      throw SyntaxError(
        message: "a type of \(text.utf8.count) bytes, the limit is \(WireLimits.typeTextBytesMax)", offset: 0)
    }
    var parser = TypeParser(bytes: Array(text.utf8))
    self = try parser.parse()
  }
}

/// A recursive-descent reader of type spellings.
private struct TypeParser {
  let bytes: [UInt8]
  var offset = 0

  mutating func parse() throws(ValueType.SyntaxError) -> ValueType {
    let type = try type(depth: 0)
    skipSpaces()
    guard offset == bytes.count else { throw error("unexpected '\(rest)' after the type '\(type)'") }
    return type
  }

  private mutating func type(depth: Int) throws(ValueType.SyntaxError) -> ValueType {
    guard depth < WireLimits.nestingDepthMax else {
      throw error("a type nested deeper than \(WireLimits.nestingDepthMax) levels")
    }
    skipSpaces()
    let start = offset
    let name = word()
    switch name {
    case "int": return .int
    case "float": return .float
    case "str": return .string
    case "bool": return .bool
    case "bytes": return .bytes
    case "None": return .none
    case "Any": return .any
    case "List", "list": return .list(try element(of: "List", depth: depth))
    case "Optional": return .optional(try element(of: "Optional", depth: depth))
    case "Dict", "dict":
      try expect("[", in: "Dict[str, T]")
      skipSpaces()
      let start = offset
      let key = try type(depth: depth + 1)
      guard key == .string else {
        offset = start
        throw error("the keys of a Dict are str, not \(key)")
      }
      try expect(",", in: "Dict[str, T]")
      let value = try type(depth: depth + 1)
      try expect("]", in: "Dict[str, T]")
      return .dict(value)
    case "" where offset < bytes.count && bytes[offset] == UInt8(ascii: "?"):
      offset += 1
      return .unknown
    case "":
      throw error(offset == bytes.count ? "missing type" : "a type cannot start with '\(rest)'")
    default:
      offset = start
      throw error("unknown type '\(name)'")
    }
  }

  private mutating func element(of name: String, depth: Int) throws(ValueType.SyntaxError) -> ValueType {
    try expect("[", in: "\(name)[T]")
    let element = try type(depth: depth + 1)
    try expect("]", in: "\(name)[T]")
    return element
  }

  private mutating func expect(_ character: Unicode.Scalar, in form: String) throws(ValueType.SyntaxError) {
    skipSpaces()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else {
      throw error(
        "expected '\(character)' of \(form), found \(offset == bytes.count ? "the end" : "'\(rest)'")")
    }
    offset += 1
  }

  private mutating func word() -> String {
    let start = offset
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        offset += 1
      default: return String(decoding: bytes[start..<offset], as: UTF8.self)
      }
    }
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  private mutating func skipSpaces() {
    while offset < bytes.count, bytes[offset] == UInt8(ascii: " ") || bytes[offset] == UInt8(ascii: "\t") {
      offset += 1
    }
  }

  private var rest: String { String(decoding: bytes[offset...].prefix(20), as: UTF8.self) }

  private func error(_ message: String) -> ValueType.SyntaxError {
    ValueType.SyntaxError(message: message, offset: offset)
  }
}
