internal import COpenSSL

/// Why a certificate, a key or a trust cannot be used.
package struct TLSError: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) {
    self.description = description
  }
}

/// OpenSSL's queue of errors, one for each thread.
internal enum OpenSSLErrors {
  /// The reason of what just failed; the queue is empty afterwards.
  static func take() -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let text = buffer.baseAddress, rpc_tls_take_error(text, buffer.count) != 0 else { return nil }
      return String(cString: text)
    }
  }
}
