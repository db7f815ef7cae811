/// Why a call did not return values: what a procedure's caller is told, on every dialect.
public struct RPCError: Error, Hashable, Sendable {
  /// Names the kind of failure. The first five are the protocol's exceptions; the others are outcomes of the
  /// infrastructure.
  public enum Exception: String, Sendable, Hashable, CaseIterable {
    case serviceNotFound = "ServiceNotFound"
    case rpcNotFound = "RPCNotFound"
    case invalidArguments = "InvalidArguments"
    case clientNotRegistered = "ClientNotRegistered"
    case executionException = "ExecutionException"
    case deadlineExceeded = "DeadlineExceeded"
    case cancelled = "Cancelled"
    case unavailable = "Unavailable"
    case resourceExhausted = "ResourceExhausted"
    case unauthenticated = "Unauthenticated"
    case protocolError = "ProtocolError"
    /// The procedure's binding belongs to an older generation: bind again. Never shown to a caller.
    case staleBinding = "StaleBinding"
    /// A deployment that cannot be applied as it stands.
    case failedPrecondition = "FailedPrecondition"

    /// The status that goes with it on the wire.
    public var code: StatusCode {
      switch self {
      case .serviceNotFound, .rpcNotFound: .notFound
      case .invalidArguments: .invalidArgument
      case .clientNotRegistered: .permissionDenied
      case .executionException: .unknown
      case .deadlineExceeded: .deadlineExceeded
      case .cancelled: .cancelled
      case .unavailable: .unavailable
      case .resourceExhausted: .resourceExhausted
      case .unauthenticated: .unauthenticated
      case .protocolError: .internal
      case .staleBinding: .aborted
      case .failedPrecondition: .failedPrecondition
      }
    }
  }

  /// Whether the procedure ran: tells whether repeating the call is safe.
  public enum Executed: UInt8, Sendable, Hashable {
    /// Certainly not: repeating is safe.
    case no = 0
    /// It may have run, wholly or in part.
    case maybe = 1
    case yes = 2

    /// How a message says so at its end; nothing where repeating is safe.
    package var clause: String {
      switch self {
      case .no: ""
      case .maybe: "; it may have been executed"
      case .yes: "; it was executed"
      }
    }
  }

  /// What a bound counts. On the wire by its name; one that a later version added is passed over.
  public enum Unit: String, Sendable, Hashable, CaseIterable {
    case bytes
    case calls
    case arguments
    case types
    /// Of procedures that call each other.
    case levels
  }

  public var exception: Exception
  public var message: String
  public var executed: Executed
  /// Milliseconds after which the server expects to take the call, where it knows.
  public var retryAfterMilliseconds: Int?
  /// What was measured against `limit`, where a bound was crossed.
  public var actual: Int?
  public var limit: Int?
  /// What `actual` and `limit` count; nil where the other side does not say.
  public var unit: Unit?
  /// Where the procedure raised: file name and line of its source, never a path of the server.
  public var source: String?
  /// The server that the error is of, by its name; set by a client, never on the wire.
  public var server: String?

  public init(
    _ exception: Exception, _ message: String, executed: Executed = .no, actual: Int? = nil,
    limit: Int? = nil, unit: Unit? = nil, source: String? = nil, retryAfterMilliseconds: Int? = nil
  ) {
    self.exception = exception
    self.message = message
    self.executed = executed
    self.actual = actual
    self.limit = limit
    self.unit = unit
    self.source = source
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }

  public var code: StatusCode { exception.code }
}

extension RPCError: CustomStringConvertible {
  public var description: String {
    var text = "\(exception.rawValue): \(message)"
    if let source { text += " (at \(source))" }
    return text
  }
}
