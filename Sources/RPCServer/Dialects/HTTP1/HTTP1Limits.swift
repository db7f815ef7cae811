/// The bounds of a request over HTTP/1.1. Its body is bounded like a line of json.
package enum HTTP1Limits {
  /// Bytes of a request line.
  package static let requestLineBytesMax = 8 * 1024
  /// Bytes of a request's head: its request line and its fields.
  package static let headBytesMax = 16 * 1024
  /// Fields of a request.
  package static let fieldsMax = 100
  /// Bytes of the line that begins a chunk.
  package static let chunkLineBytesMax = 256
  /// Bytes that the framing of a chunked body may take besides the body, its trailers included.
  package static let chunkFramingBytesMax = 64 * 1024
}
