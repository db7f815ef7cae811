internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// How far a line is that would keep others of the loop waiting.
internal enum LongLine {
  case unread
  /// Being decoded beside the loop.
  case away
  /// Its fields are known: what it asks for, and since when, on the loop's clock.
  case read(Result<JSONDialect.Request, JSONDialect.Rejection>, since: UInt64)
  /// Its arguments are known too, in the generation of that serial.
  case resolved(
    JSONDialect.Request, Result<ResolvedCall, RPCError>, generation: Int, since: UInt64)

  /// The id of it, once that is known.
  var id: JSONDialect.ID? {
    switch self {
    case .unread, .away: nil
    case .read(.success(let request), _), .resolved(let request, _, _, _): request.id
    case .read(.failure(let rejection), _): rejection.id
    }
  }
}

/// Lines that are long are decoded beside the loop: first their fields, then, when the loop has decided on the access,
/// their arguments. Such a line stays in the connection's input until its call begins, so that nothing overtakes it.
extension JSONLinesDialect {
  /// Takes the next step with the long line that is next; returns whether it is done with.
  func handleLong(_ line: RawSpan) -> Bool {
    switch long {
    case .away: return false
    case .unread:
      let since = host.loop.now
      decode(line) { line -> Result<JSONDialect.Request, JSONDialect.Rejection> in
        do throws(JSONDialect.Rejection) {
          return .success(try JSONDialect.request(from: line.span.bytes))
        } catch {
          return .failure(error)
        }
      } then: {
        .read($0, since: since)
      }
      return false
    case .read(.failure(let rejection), _):
      guard isTurn(of: rejection.id) else { return false }
      long = .unread
      refuseCall(rejection.error, id: rejection.id)
      return true
    case .read(.success(let request), let since):
      guard isTurn(of: request.id) else { return false }
      return resolve(request, of: line, since: since)
    case .resolved(let request, let call, let generation, let since):
      // The rights of the caller may be others now.
      guard generation == host.catalogue.edition else { return resolve(request, of: line, since: since) }
      long = .unread
      do throws(RPCError) {
        if connection.isDraining { throw CallCore.draining }
        try start(request, try call.get(), received: since)
      } catch {
        refuseCall(error, id: request.id)
      }
      return true
    }
  }

  private func resolve(_ request: JSONDialect.Request, of line: RawSpan, since: UInt64) -> Bool {
    let catalogue = host.catalogue
    let overloads: [BoundProcedure]
    do {
      overloads = try authorise(request)
    } catch {
      long = .unread
      refuseCall(error, id: request.id)
      return true
    }
    decode(line) { line -> Result<ResolvedCall, RPCError> in
      do throws(RPCError) {
        return .success(
          try Self.resolve(request, request.arguments(in: line.span.bytes), overloads, in: catalogue))
      } catch {
        return .failure(error)
      }
    } then: {
      .resolved(request, $0, generation: catalogue.edition, since: since)
    }
    return false
  }

  /// Decodes a copy of the line beside the loop. It is offered again when that is done.
  private func decode<Decoded: Sendable>(
    _ line: RawSpan, _ work: @escaping @Sendable ([UInt8]) -> Decoded,
    then state: @escaping (Decoded) -> LongLine
  ) {
    if let excess = socket.excess(of: line.byteCount) {
      return connection.refuse(
        CallCore.memoryExceeded(
          actual: excess.actual, limit: excess.limit, isStranger: socket.isStranger))
    }
    let copy = line.withUnsafeBytes { Array($0) }
    long = .away
    connection.beside(holding: copy.count) {
      work(copy)
    } then: { [self] decoded in
      long = state(decoded)
      // A connection that drains ends with its last answer, which this is.
      guard connection.isDraining, connection.isIdle, socket.isReceiving else { return }
      refuseCall(CallCore.draining, id: long.id)
    }
  }
}
