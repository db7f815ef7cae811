public import RPCWire

/// A call whose results are decoded straight from the reply's bytes into Swift values, and handed to a
/// callback or a suspended task. Decoding and handing over happen on the loop's thread.
///
/// `@unchecked Sendable` for the reason of `Call`.
@usableFromInline
internal final class TypedCall<Output: Sendable>: Call, @unchecked Sendable {
  @usableFromInline
  internal enum Receiver {
    case callback(@Sendable (Result<Output, RPCError>) -> Void)
    case task(UnsafeContinuation<Result<Output, RPCError>, Never>)
  }

  @usableFromInline internal let decode: @Sendable (RawSpan) throws(WireError) -> Output
  /// Set before the call is submitted.
  @usableFromInline internal var receiver: Receiver?

  @inlinable
  internal init(
    route: Route, arguments: consuming ByteQueue, options: CallOptions,
    decode: @escaping @Sendable (RawSpan) throws(WireError) -> Output
  ) {
    self.decode = decode
    super.init(route: route, arguments: arguments, options: options)
  }

  @inlinable
  override internal func succeed(_ payload: RawSpan, from server: String, at now: UInt64) {
    let result: Result<Output, RPCError>
    do {
      result = .success(try decode(payload))
    } catch {
      result = .failure(undecodable(error, from: server))
    }
    deliver(result)
  }

  @inlinable
  override internal func fail(_ error: RPCError) {
    deliver(.failure(error))
  }

  @inlinable
  internal func deliver(_ result: Result<Output, RPCError>) {
    switch receiver {
    case .callback(let callback): callback(result)
    case .task(let continuation): continuation.resume(returning: result)
    case nil: break
    }
    receiver = nil
  }
}

/// A call whose results are known at run time only.
internal final class ValuesCall: Call, @unchecked Sendable {
  private let completion: @Sendable (Result<CallResult, RPCError>) -> Void

  internal init(
    route: Route, arguments: consuming ByteQueue, options: CallOptions,
    completion: @escaping @Sendable (Result<CallResult, RPCError>) -> Void
  ) {
    self.completion = completion
    super.init(route: route, arguments: arguments, options: options)
  }

  override internal func succeed(_ payload: RawSpan, from server: String, at now: UInt64) {
    do {
      let values = try decodeValues(payload)
      let elapsed = Duration.nanoseconds(Int64(clamping: now > started ? now - started : 0))
      completion(.success(CallResult(values: values, server: server, elapsed: elapsed, attempts: attempts)))
    } catch {
      completion(.failure(undecodable(error, from: server)))
    }
  }

  override internal func fail(_ error: RPCError) {
    completion(.failure(error))
  }
}

extension Call {
  /// The reply is not what the caller's types, or the protocol, let it be.
  @usableFromInline
  internal func undecodable(_ error: WireError, from server: String) -> RPCError {
    Self.undecodable(error, route: route, from: server)
  }

  internal static func undecodable(_ error: WireError, route: Route, from server: String) -> RPCError {
    RPCError(
      .protocolError, "the result of \(route.name) from server '\(server)' cannot be read: \(error)",
      executed: .yes)
  }
}

/// Reads a reply's payload.
internal func decodeValues(_ payload: RawSpan) throws(WireError) -> [Value] {
  var reader = MessagePackReader(payload)
  let count = try reader.readListHeader()
  guard count <= WireLimits.arityMax else {
    throw .tooMany(what: "return values", actual: count, limit: WireLimits.arityMax)
  }
  var values: [Value] = []
  values.reserveCapacity(count)
  for _ in 0..<count { values.append(try Value.decode(from: &reader)) }
  try reader.finish()
  return values
}

/// The list header of a reply that is to have `expected` values. A caller that expects none takes any.
@usableFromInline
@_lifetime(reader: copy reader)
internal func checkArity(_ reader: inout MessagePackReader, expected: Int) throws(WireError) {
  let count = try reader.readListHeader()
  guard count == expected || expected == 0 else {
    throw .malformedFrame("it has \(count) values, the caller takes \(expected)")
  }
}
