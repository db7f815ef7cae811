internal import RPCProto
internal import RPCWire

/// How a call ends in gRPC: a code, a message, and what is wrong in detail.
internal struct GRPCStatus {
  var code: StatusCode
  var message: String
  /// Header fields beyond code and message.
  private(set) var details: [(name: String, value: String)] = []

  static let ok = GRPCStatus(.ok, "")

  init(_ code: StatusCode, _ message: String) {
    self.code = code
    self.message = message
  }

  /// A failed call, with `grpc-status-details-bin`: a `google.rpc.Status` with an `ErrorInfo`, whose reason is the
  /// exception's name, and where repeating is worth a try a `RetryInfo`.
  init(_ error: RPCError) {
    code = Self.code(of: error)
    message = Self.shortened(error.message)
    if error.exception == .executionException, let source = error.source { message += " (at \(source))" }
    details.append(
      (
        "grpc-status-details-bin",
        Base64.unpadded(
          StatusDetails.encode(error, code: code, message: message, info: ErrorInfo(error).protobuf))
      ))
    if let milliseconds = error.retryAfterMilliseconds {
      details.append(("grpc-retry-pushback-ms", "\(milliseconds)"))
    }
  }

  /// The code of an exception: what is not there is `unimplemented`, by which clients tell that a server lacks a method.
  static func code(of error: RPCError) -> StatusCode { error.httpCode }

  mutating func add(_ name: String, _ value: String) { details.append((name, value)) }

  /// The fields of the trailers, in order.
  var fields: [(name: String, value: String)] {
    var fields = [("grpc-status", "\(code.rawValue)")]
    if !message.isEmpty { fields.append(("grpc-message", PercentCoding.encode(message: message))) }
    return fields + details
  }

  /// As much of a message as trailers may hold.
  private static func shortened(_ message: String) -> String {
    guard message.utf8.count > GRPCLimits.messageBytesMax else { return message }
    var bytes = Array(message.utf8.prefix(GRPCLimits.messageBytesMax))
    while let last = bytes.last, last & 0xc0 == 0x80 { bytes.removeLast() }
    if let last = bytes.last, last >= 0xc0 { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self) + "…"
  }

}
