/// Why a JSON value does not fit a declared type; reads on after "argument 2: ".
package struct JSONMismatch: Error, Hashable, Sendable, CustomStringConvertible {
  package var message: String
  package init(_ message: String) { self.message = message }
  package var description: String { message }
}

/// A list of arguments as JSON text that is known to be well-formed: nothing is built of them before it is known
/// which types they are meant to be, and then they go straight into MessagePack.
///
/// What a value means where a type is declared:
///
/// - an integer is a float where one is declared, however many digits it has;
/// - `"NaN"`, `"Infinity"` and `"-Infinity"` are floats, base64 and `{"$bytes":"…"}` bytes;
/// - where `Any` is declared, an object that is exactly `{"$bytes":"<base64>"}` means bytes and everything else itself;
/// - an argument that is a string stands for any type: `"32"` for an int, `"[1,2]"` for a list.
package struct JSONArguments: ~Escapable {
  private let text: RawSpan
  private let shape: JSONShape

  @_lifetime(copy text)
  internal init(_ text: RawSpan, shape: JSONShape) {
    self.text = text
    self.shape = shape
  }

  /// How many there are.
  package var count: Int { shape.counts.first.map { Int($0) } ?? 0 }

  /// The narrowest types that describe them as they stand.
  package var types: [ValueType] {
    var types: [ValueType] = []
    var reader = start
    for _ in 0..<count {
      guard let type = try? reader.describeValue() else { preconditionFailure("the text was looked through") }
      types.append(type)
      passSeparator(&reader)
    }
    return types
  }

  /// Appends a MessagePack list of them as `types`, of which there are as many.
  package func encode(as types: [ValueType], to output: inout ByteQueue) throws(JSONMismatch) {
    precondition(types.count == count, "each argument has its type")
    output.appendListHeader(count: count)
    var encoder = JSONToMessagePack(shape: shape)
    encoder.nextContainer = 1
    var reader = start
    for (index, type) in types.enumerated() {
      do throws(JSONMismatch) {
        try encoder.encodeArgument(&reader, as: type, to: &output)
      } catch {
        throw JSONMismatch("argument \(index + 1): \(error.message)")
      }
      passSeparator(&reader)
    }
  }

  /// A reader that stands behind the bracket.
  private var start: JSONReader {
    @_lifetime(copy self) get {
      var reader = JSONReader(text)
      reader.skipSpace()
      reader.offset += 1
      return reader
    }
  }

  private func passSeparator(_ reader: inout JSONReader) {
    reader.skipSpace()
    reader.offset += 1
  }
}

extension ValueType {
  /// What one JSON value means where this type is declared, see `JSONArguments`.
  package func value(fromJSON text: String) throws(JSONMismatch) -> Value {
    try value(Array(text.utf8), isArgument: false)
  }

  /// As `value(fromJSON:)` of a value's own JSON: for what was read before its type was known.
  package func value(fromJSON value: Value) throws(JSONMismatch) -> Value {
    try self.value(fromJSON: value.json)
  }

  /// Reads an argument that was written as text: `32` as an int, `[1,2]` as a list, base64 as bytes. A `str` is the
  /// text itself, and so is `Any`.
  package func value(fromText text: String) throws(JSONMismatch) -> Value {
    try value(Array(Value.string(text).json.utf8), isArgument: true)
  }

  private func value(_ json: [UInt8], isArgument: Bool) throws(JSONMismatch) -> Value {
    var output = ByteQueue()
    var shape = JSONShape()
    var reader = unsafe JSONReader(json.span.bytes)
    do throws(JSONError) {
      try reader.passValue(shape: &shape)
      reader.skipSpace()
      try reader.finish()
    } catch {
      throw JSONMismatch("not JSON: \(error)")
    }
    reader.offset = 0
    reader.skipSpace()
    var encoder = JSONToMessagePack(shape: shape)
    if isArgument {
      try encoder.encodeArgument(&reader, as: self, to: &output)
    } else {
      try encoder.encode(&reader, as: self, to: &output)
    }
    do {
      return try Value(messagePack: output.copy())
    } catch {
      throw JSONMismatch("\(error)")
    }
  }
}
