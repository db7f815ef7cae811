internal import Glibc

/// A system call that failed: which one, on what, and why.
public struct SystemError: Error, Hashable, Sendable {
  /// The value of `errno`.
  public var code: Int32
  /// What was being done, in words: `bind 127.0.0.1:80`.
  public var operation: String
  /// Words that say more than the system's own for the code.
  private var detail: String?

  public init(code: Int32, operation: String, detail: String? = nil) {
    self.code = code
    self.operation = operation
    self.detail = detail
  }

  /// The error that `errno` tells right now.
  public static func last(_ operation: String) -> SystemError {
    SystemError(code: errno, operation: operation)
  }

  /// What went wrong, without the operation.
  public var reason: String {
    if let detail { return detail }
    // strerror_r's two forms differ between libraries; strerror is safe here since the text is copied at
    // once and Glibc keeps it per thread.
    return strerror(code).map { String(cString: $0) } ?? "error \(code)"
  }
}

extension SystemError: CustomStringConvertible {
  public var description: String { "\(operation): \(reason)" }
}
