/// Every bound of the native protocol, in one place. A peer that crosses one of them is told which one,
/// the actual size and the limit. A server may lower those that the HELLO announces, never raise them.
package enum WireLimits {
  /// Bytes of a frame's payload (what follows the 16-byte header) unless configured otherwise: 16 MiB.
  package static let frameBytes = 16 * 1024 * 1024
  /// The largest value that `frameBytes` may be configured to: 256 MiB.
  package static let frameBytesMax = 256 * 1024 * 1024
  /// Bytes of a HELLO, the only frame accepted from a peer that has not introduced itself.
  package static let helloBytesMax = 4 * 1024
  /// How deep lists and maps may nest in a value.
  package static let nestingDepthMax = 64
  /// Bytes of the textual form of a type such as `List[int]`.
  package static let typeTextBytesMax = 1024
  /// Arguments or return values of one procedure.
  package static let arityMax = 64
  /// Bytes of a service's, procedure's, server's or client's name.
  package static let nameBytesMax = 128
  /// Calls in flight on one connection unless configured otherwise.
  package static let callsPerConnection = 4096
  /// Bytes of one line of the json dialect, and of the values in its answer, unless configured otherwise: 1 MiB.
  /// JSON takes longer to read and write than a frame.
  package static let jsonBytes = 1024 * 1024
  /// Bytes of the `id` of a request of the json dialect, as it is written: it is kept until the answer.
  package static let jsonIDBytesMax = 1024
  /// Bytes of a CALL's metadata.
  package static let metadataBytesMax = 8 * 1024
  /// How deep calls may be nested: a procedure's call of another one is one deeper than the call it is part of.
  package static let callDepthMax = 16
}
