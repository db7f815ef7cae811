internal import HTTPTypes
internal import RPCProcedures
internal import RPCWire

/// What a request asks for.
internal enum HTTP1Route {
  case call(HTTP1Call)
  case page(HTTPPage)
  /// What may be asked for, and by which pages.
  case options
}

/// A call whose arguments have not been looked at.
internal struct HTTP1Call {
  /// The overloads of the procedure, which the caller may call.
  var overloads: [BoundProcedure]
  var caller: Caller
  /// Who the request's token names, where it has one: the caller.
  var token: TokenCaller?
  var format: any UnaryFormat.Type
  var type: ContentType?
  var timeoutNanoseconds: UInt64 = 0
  var isFromConnect = false
  /// The arguments, where they came in the URL.
  var message: [UInt8]?
  /// The generation that it was decided in.
  var generation: Int
}
