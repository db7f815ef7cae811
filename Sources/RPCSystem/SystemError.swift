internal import Glibc

/// A system call that failed: which one, on what, and why.
public struct SystemError: Error, Hashable, Sendable {
  /// The value of `errno`.
  public var code: Int32
  public var operation: Operation
  /// Words that say more than the system's own for the code.
  private var detail: String?

  public init(code: Int32, operation: Operation, detail: String? = nil) {
    self.code = code
    self.operation = operation
    self.detail = detail
  }

  /// The error that `errno` tells right now.
  public static func last(_ operation: Operation) -> SystemError {
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

extension SystemError {
  /// What was being done: words for people, and a kind where a program acts on it.
  public struct Operation: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
      case openFile
      case connect
      /// What nobody has to tell apart.
      case other
    }

    public let kind: Kind
    /// `bind 127.0.0.1:80`
    public let text: String

    private init(_ kind: Kind, _ text: String) {
      self.kind = kind
      self.text = text
    }

    /// - Parameter file: what is opened: `the log file 'x'`.
    public static func open(_ file: String) -> Operation { Operation(.openFile, "open \(file)") }

    /// - Parameter address: where to: `127.0.0.1:80`.
    public static func connect(to address: String) -> Operation {
      Operation(.connect, "connect to \(address)")
    }
  }
}

extension SystemError.Operation: ExpressibleByStringInterpolation, CustomStringConvertible {
  /// One of the kind `other`.
  public init(stringLiteral text: String) { self.init(.other, text) }
  public var description: String { text }
}

extension SystemError: CustomStringConvertible {
  public var description: String { "\(operation): \(reason)" }
}
