/// What is wrong with a JSON text, and where.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Bytes from the start of the text.
  package var offset: Int
  package var message: String

  package init(_ message: String, at offset: Int) {
    self.offset = offset
    self.message = message
  }

  package var description: String { "byte \(offset): \(message)" }
}
