internal import HTTPTypes
internal import RPCWire

/// How what went wrong with a call is said over HTTP: gRPC's code, Connect's word for it, and the HTTP status that goes
/// with it (connectrpc.com/docs/protocol, "Error codes").
extension RPCError {
  /// gRPC's code. What is not there is `unimplemented`, as gRPC's and Connect's clients expect of a name that a server
  /// does not know.
  internal var httpCode: StatusCode {
    switch exception {
    case .serviceNotFound, .rpcNotFound: .unimplemented
    default: code
    }
  }

  /// The status of an answer. What is not there is 404 to everything that speaks HTTP.
  internal var httpStatus: HTTPResponse.Status {
    switch exception {
    case .serviceNotFound, .rpcNotFound: .notFound
    default: code.httpStatus
    }
  }
}

extension StatusCode {
  /// Connect's name of the code.
  internal var connectName: StaticString {
    switch self {
    case .ok: "ok"
    case .cancelled: "canceled"
    case .unknown: "unknown"
    case .invalidArgument: "invalid_argument"
    case .deadlineExceeded: "deadline_exceeded"
    case .notFound: "not_found"
    case .alreadyExists: "already_exists"
    case .permissionDenied: "permission_denied"
    case .resourceExhausted: "resource_exhausted"
    case .failedPrecondition: "failed_precondition"
    case .aborted: "aborted"
    case .outOfRange: "out_of_range"
    case .unimplemented: "unimplemented"
    case .internal: "internal"
    case .unavailable: "unavailable"
    case .dataLoss: "data_loss"
    case .unauthenticated: "unauthenticated"
    }
  }

  internal var httpStatus: HTTPResponse.Status {
    switch self {
    case .ok: .ok
    case .cancelled: .clientClosedRequest
    case .invalidArgument, .failedPrecondition, .outOfRange: .badRequest
    case .unauthenticated: .unauthorized
    case .permissionDenied: .forbidden
    case .notFound: .notFound
    case .alreadyExists, .aborted: .conflict
    case .resourceExhausted: .tooManyRequests
    case .unimplemented: .notImplemented
    case .unavailable: .serviceUnavailable
    case .deadlineExceeded: .gatewayTimeout
    case .unknown, .internal, .dataLoss: .internalServerError
    }
  }
}

extension HTTPResponse.Status {
  /// The caller has given up: no standard's, but what Connect and nginx use.
  internal static let clientClosedRequest = Self(code: 499, reasonPhrase: "Client Closed Request")
}

/// A request that is refused for what it is as HTTP, with the status that says so.
internal struct HTTPRefusal: Error {
  var status: HTTPResponse.Status
  var code: StatusCode
  var error: RPCError
  /// The methods that would be right, for 405.
  var allowed: StaticString?
  /// The request was a call by its form, so that its format says how it is refused.
  var isCall = false

  init(_ status: HTTPResponse.Status, _ code: StatusCode, _ error: RPCError, allowed: StaticString? = nil) {
    self.status = status
    self.code = code
    self.error = error
    self.allowed = allowed
  }

  init(_ status: HTTPResponse.Status, _ code: StatusCode, _ message: String, allowed: StaticString? = nil) {
    self.init(status, code, RPCError(.protocolError, message), allowed: allowed)
  }

  /// A call that is refused, or failed.
  init(_ error: RPCError) {
    self.init(error.httpStatus, error.httpCode, error)
    isCall = true
  }
}
