/// The bounds of a gRPC connection that are no flag of the server.
internal enum GRPCLimits {
  /// Streams that a peer may have open, those that it reset while their procedure still runs included.
  static let streamsMax = 256
  /// Bytes that a peer may send on one stream before they are taken.
  static let streamWindow = 256 * 1024
  /// Bytes that a peer may send on all streams of a connection before they are taken.
  static let connectionWindow = 16 * 1024 * 1024
  /// Header fields of one request.
  static let headerFieldsMax = 100
  /// Bytes of a request's header fields: names, values and 32 for each, as RFC 9113 section 6.5.2 counts them.
  static let headerBytesMax = 8 * 1024
  /// Header fields of one block above which the connection ends.
  static let headerFieldsFatal = 1000
  /// Bytes of an error's message in trailers, which together must stay below the 8 KiB that clients take.
  static let messageBytesMax = 1500
  /// Bytes of answers that wait for the peer's flow control above which its next requests wait too.
  static let heldReplyBytesMax = 512 * 1024
  /// Bytes of answers that a peer may leave unread on one stream of reflection.
  static let streamReplyBytesMax = 1024 * 1024
  /// Bytes of one request of reflection or health.
  static let builtinRequestBytesMax = 16 * 1024
  /// How long answers may wait for the peer's flow control without any progress, in milliseconds.
  static let stallMilliseconds = 30_000
  /// How long a peer may take to answer the first of the two GOAWAYs, in milliseconds.
  static let goodbyeMilliseconds = 5_000
  /// Frames that ask for work and bring none, such as resets, pings and window updates, that may come at once.
  static let idleFramesBurst = 2_000
  /// How many more of them may come each second.
  static let idleFramesPerSecond = 200
  /// How many more of them each answered call allows.
  static let idleFramesPerCall = 4
  /// Digits of a `grpc-timeout`.
  static let timeoutDigitsMax = 8
}
