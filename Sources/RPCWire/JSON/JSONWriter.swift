/// Writes values as JSON (RFC 8259). What JSON lacks has one convention each, which the declared type reads
/// back (`JSONArguments`):
///
/// - a float always shows that it is one (`1.0`, `1e+20`), in the fewest digits that give it back exactly;
/// - NaN and the infinities are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`;
/// - bytes are the object `{"$bytes":"<base64>"}`.
///
/// Control characters are escaped, C1 and DEL too, so that the text is one line and harmless to a terminal.
extension ByteQueue {
  package mutating func appendJSON(_ value: Value) {
    appendJSON(value, separator: "")
  }

  /// - Parameter separator: what follows each comma and colon: nothing on the wire, a space for people.
  private mutating func appendJSON(_ value: Value, separator: StaticString) {
    switch value {
    case .list(let values):
      append(UInt8(ascii: "["))
      for index in values.indices {
        if index > 0 {
          append(UInt8(ascii: ","))
          append(separator)
        }
        appendJSON(values[index], separator: separator)
      }
      append(UInt8(ascii: "]"))
    case .map(let entries):
      append(UInt8(ascii: "{"))
      for index in entries.indices {
        if index > 0 {
          append(UInt8(ascii: ","))
          append(separator)
        }
        appendJSON(string: entries[index].key)
        append(UInt8(ascii: ":"))
        append(separator)
        appendJSON(entries[index].value, separator: separator)
      }
      append(UInt8(ascii: "}"))
    default: appendJSON(scalar: value)
    }
  }

  private mutating func appendJSON(scalar value: Value) {
    switch value {
    case .null: append("null" as StaticString)
    case .bool(let value): append(value ? "true" : "false" as StaticString)
    case .int(let value): append(String(value))
    case .float(let value): appendJSON(float: value)
    case .string(let value): appendJSON(string: value)
    case .bytes(let value):
      append("{\"\(JSONConvention.bytesKey)\":\"")
      Base64.encode(value, to: &self)
      append("\"}" as StaticString)
    case .list, .map: preconditionFailure("a list is not a scalar")
    }
  }

  internal mutating func appendJSON(float value: Double) {
    if value.isFinite {
      append(value.description)
    } else {
      append(UInt8(ascii: "\""))
      append(JSONConvention.name(ofNonFinite: value))
      append(UInt8(ascii: "\""))
    }
  }

  /// A JSON string, quotes included.
  package mutating func appendJSON(string text: String) {
    append(UInt8(ascii: "\""))
    append(escaped: text)
    append(UInt8(ascii: "\""))
  }

  /// What stands between the quotes of a JSON string: one line, harmless to a terminal.
  package mutating func append(escaped text: String) {
    var text = text
    text.withUTF8 { unsafe append(escaped: RawSpan(_unsafeBytes: UnsafeRawBufferPointer($0))) }
  }

  /// As `append(escaped:)` of the text that these bytes are in UTF-8.
  internal mutating func append(escaped bytes: RawSpan) {
    var run = 0
    var index = 0
    while index < bytes.byteCount {
      let byte = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
      var width = 1
      var code = byte
      if byte == 0xc2, index + 1 < bytes.byteCount {
        // U+0080 to U+009F: C1 control characters are two bytes of UTF-8.
        code = unsafe bytes.unsafeLoad(fromByteOffset: index + 1, as: UInt8.self)
        width = 2
      }
      guard width == 2 ? code < 0xa0 : code < 0x20 || code == 0x22 || code == 0x5c || code == 0x7f else {
        index += 1
        continue
      }
      append(bytes.extracting(run..<index))
      appendEscape(code)
      index += width
      run = index
    }
    append(bytes.extracting(run..<index))
  }

  private mutating func appendEscape(_ code: UInt8) {
    append(UInt8(ascii: "\\"))
    switch code {
    case 0x22, 0x5c: append(code)
    case 0x08: append(UInt8(ascii: "b"))
    case 0x09: append(UInt8(ascii: "t"))
    case 0x0a: append(UInt8(ascii: "n"))
    case 0x0c: append(UInt8(ascii: "f"))
    case 0x0d: append(UInt8(ascii: "r"))
    default:
      append("u00" as StaticString)
      for digit in [code >> 4, code & 15] {
        append(digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a"))
      }
    }
  }

  // MARK: For people

  /// Writes over several lines what does not fit `width` columns; short lists and objects stay on one line.
  package mutating func appendPrettyJSON(_ value: Value, width: Int = 100) {
    appendPretty(value, indent: 0, column: 0, width: width)
  }

  private mutating func appendPretty(_ value: Value, indent: Int, column: Int, width: Int) {
    let mark = count
    // Only what could fit is tried on one line, so that large values are not written twice per level.
    if value.leastJSONBytes <= width - column {
      appendJSON(value, separator: " ")
      if count - mark <= width - column { return }
      truncate(to: mark)
    }
    switch value {
    case .list(let values) where !values.isEmpty:
      append("[\n" as StaticString)
      for index in values.indices {
        append(spaces: indent + 2)
        // One column is kept for the comma.
        appendPretty(values[index], indent: indent + 2, column: indent + 3, width: width)
        append(index == values.count - 1 ? "\n" : ",\n" as StaticString)
      }
      append(spaces: indent)
      append(UInt8(ascii: "]"))
    case .map(let entries) where !entries.isEmpty:
      append("{\n" as StaticString)
      for index in entries.indices {
        append(spaces: indent + 2)
        let start = count
        appendJSON(string: entries[index].key)
        append(": " as StaticString)
        appendPretty(
          entries[index].value, indent: indent + 2, column: indent + 3 + count - start, width: width)
        append(index == entries.count - 1 ? "\n" : ",\n" as StaticString)
      }
      append(spaces: indent)
      append(UInt8(ascii: "}"))
    default: appendJSON(value, separator: " ")
    }
  }

  private mutating func append(spaces count: Int) {
    for _ in 0..<count { append(UInt8(ascii: " ")) }
  }

  internal mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { unsafe append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer($0))) }
  }

  /// The waiting bytes as text; what is not UTF-8 becomes U+FFFD.
  internal var text: String {
    unsafe withReadable { unsafe String(decoding: $0, as: UTF8.self) }
  }
}

extension Value {
  /// One line of JSON.
  package var json: String {
    var queue = ByteQueue()
    queue.appendJSON(self)
    return queue.text
  }

  /// JSON laid out for people, see `ByteQueue.appendPrettyJSON`.
  package func prettyJSON(width: Int = 100) -> String {
    var queue = ByteQueue()
    queue.appendPrettyJSON(self, width: width)
    return queue.text
  }

  /// A lower bound of the bytes this takes as JSON, cheap to tell.
  fileprivate var leastJSONBytes: Int {
    switch self {
    case .list(let values): 2 * values.count
    case .map(let entries): 5 * entries.count
    case .string(let text): text.utf8.count
    case .bytes(let bytes): bytes.count
    default: 1
    }
  }
}

/// The spellings of what JSON has no notation for.
internal enum JSONConvention {
  static let bytesKey = "$bytes"

  static func name(ofNonFinite value: Double) -> String {
    value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }

  static func nonFinite(named name: String) -> Double? {
    switch name {
    case "NaN": .nan
    case "Infinity": .infinity
    case "-Infinity": -.infinity
    default: nil
    }
  }
}
