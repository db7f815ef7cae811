internal import RPCWire

/// What Connect's clients say of a call in fields of their own.
internal enum ConnectHeader {
  /// Digits of `Connect-Timeout-Ms`.
  static let timeoutDigitsMax = 10

  /// `Connect-Timeout-Ms` in nanoseconds, 0 for none.
  static func timeoutNanoseconds(_ text: String?) throws(RPCError) -> UInt64 {
    guard let text else { return 0 }
    let isNumber =
      (1...timeoutDigitsMax).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    guard isNumber, let milliseconds = UInt64(text) else {
      throw RPCError(
        .invalidArguments,
        "'connect-timeout-ms: \(text.prefix(32))' is not a number of milliseconds of at most \(timeoutDigitsMax) digits"
      )
    }
    // 0 has passed when it comes; none at all is said by leaving the field out.
    return max(1, milliseconds * 1_000_000)
  }

  /// Whether the client says that it is one of Connect, whose JSON leaves out what is zero.
  static func isPresent(_ version: String?) throws(RPCError) -> Bool {
    guard let version else { return false }
    guard version == "1" else {
      throw RPCError(.invalidArguments, "'connect-protocol-version' is 1, not '\(version.prefix(16))'")
    }
    return true
  }
}
