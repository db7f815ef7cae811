internal import HTTPTypes
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// One way to write the arguments of a call and its answer over HTTP, chosen by the content type of the request. Pure:
/// what is long is read and written beside the loop.
internal protocol UnaryFormat: Sendable {
  /// Whether a body of this type is written in it.
  static func takes(_ type: ContentType) -> Bool

  /// Whether errors stand in the body as well, below a status of 200.
  static var isGRPCWeb: Bool { get }

  /// Reads the arguments and picks the overload.
  ///
  /// - Parameters:
  ///   - fromConnect: the client says that it is one of Connect, whose JSON leaves out what is zero.
  ///   - overloads: of the procedure, in `catalogue`; the caller may call them.
  static func resolve(
    _ body: RawSpan, fromConnect: Bool, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall

  /// Appends the body of an answer.
  ///
  /// - Parameters:
  ///   - type: the content type of the request.
  ///   - limit: bytes of the values; more are refused.
  /// - Returns: what goes above it.
  static func append(
    _ outcome: CallOutcome, of procedure: BoundProcedure?, type: ContentType?, limit: Int,
    to output: inout ByteQueue
  ) -> AnswerHead
}

extension UnaryFormat {
  static var isGRPCWeb: Bool { false }
}

/// How bodies may be written.
internal enum UnaryFormats {
  /// The first that takes a content type is it.
  static let all: [any UnaryFormat.Type] = [
    ConnectJSON.self, ConnectProto.self, GRPCWebFormat.self, GRPCWebTextFormat.self,
  ]

  /// The format of a call's body.
  ///
  /// - Parameter coding: `content-encoding`.
  static func format(_ type: ContentType, coding: String?) throws(HTTPRefusal) -> any UnaryFormat.Type {
    guard !type.isSimple else {
      let found = type.mediaType.isEmpty ? "none" : "'\(type.mediaType)'"
      throw HTTPRefusal(
        .unsupportedMediaType, .invalidArgument,
        "the content type of a call is 'application/json', not \(found), which any page could send")
    }
    guard let format = all.first(where: { $0.takes(type) }) else {
      throw HTTPRefusal(
        .unsupportedMediaType, .invalidArgument,
        "the content type of a call is 'application/json', not '\(type.mediaType.prefix(64))'")
    }
    if let coding, coding.lowercased() != "identity" {
      throw HTTPRefusal(
        .unsupportedMediaType, .unimplemented,
        "bodies are not compressed here: send it without 'content-encoding: \(coding.prefix(32))'")
    }
    return format
  }
}

/// What stands above the body of an answer.
internal struct AnswerHead {
  var status: HTTPResponse.Status
  var contentType: StaticString
  /// Milliseconds after which the client may try again, for `Retry-After`.
  var retryAfterMilliseconds: Int?

  init(
    _ status: HTTPResponse.Status, _ contentType: StaticString, retryAfterMilliseconds: Int? = nil
  ) {
    self.status = status
    self.contentType = contentType
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }
}
