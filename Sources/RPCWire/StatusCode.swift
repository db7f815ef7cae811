/// The outcome of a call: gRPC's codes with gRPC's numbers
/// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md), so that gateways and people need no table.
public enum StatusCode: UInt16, Sendable, Hashable, CaseIterable {
  case ok = 0
  case cancelled = 1
  case unknown = 2
  case invalidArgument = 3
  case deadlineExceeded = 4
  case notFound = 5
  case alreadyExists = 6
  case permissionDenied = 7
  case resourceExhausted = 8
  case failedPrecondition = 9
  case aborted = 10
  case outOfRange = 11
  case unimplemented = 12
  case `internal` = 13
  case unavailable = 14
  case dataLoss = 15
  case unauthenticated = 16
}

extension StatusCode: CustomStringConvertible {
  /// The name people read: `deadline exceeded`.
  public var description: String {
    switch self {
    case .ok: "ok"
    case .cancelled: "cancelled"
    case .unknown: "unknown"
    case .invalidArgument: "invalid argument"
    case .deadlineExceeded: "deadline exceeded"
    case .notFound: "not found"
    case .alreadyExists: "already exists"
    case .permissionDenied: "permission denied"
    case .resourceExhausted: "resource exhausted"
    case .failedPrecondition: "failed precondition"
    case .aborted: "aborted"
    case .outOfRange: "out of range"
    case .unimplemented: "unimplemented"
    case .internal: "internal"
    case .unavailable: "unavailable"
    case .dataLoss: "data loss"
    case .unauthenticated: "unauthenticated"
    }
  }
}
