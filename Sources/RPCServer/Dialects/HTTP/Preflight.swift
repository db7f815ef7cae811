/// What a browser is told that asks before it lets a page of an origin that was opened send more than any page could
/// (Fetch, "CORS protocol").
internal enum Preflight {
  static let methods = "GET, POST"

  /// The fields that clients in browsers send.
  static let fields =
    "authorization, content-type, connect-protocol-version, connect-timeout-ms, grpc-timeout, traceparent, tracestate, "
    + "baggage, x-grpc-web, x-user-agent"

  /// The fields of answers that a page may read.
  static let exposed = "grpc-status, grpc-message, grpc-status-details-bin, retry-after"

  /// How long a browser need not ask again.
  static let seconds = 600
}
