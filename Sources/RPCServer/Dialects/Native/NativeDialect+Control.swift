internal import RPCProcedures
internal import RPCWire

/// The frames that are not calls.
extension NativeDialect {
  func control(
    _ header: FrameHeader, _ payload: RawSpan, into output: inout ByteQueue
  ) throws(WireError) {
    // The decoder has refused unknown kinds.
    guard let kind = FrameKind(rawValue: header.kind) else { throw .unknownFrameKind(header.kind) }
    guard isGreeted else {
      guard kind == .hello else { throw .malformedFrame("the first frame must be a HELLO, not \(kind)") }
      return try greet(payload, into: &output)
    }
    switch kind {
    case .bind:
      try checkID(header.callID)
      bind(header.callID, try Bind(payload: payload), into: &output)
    case .cancel:
      guard header.length == 0 else { throw .malformedFrame("a CANCEL has no payload") }
      // An unknown id is a call that was answered meanwhile.
      connection.calls[header.callID]?.end(
        RPCError(.cancelled, "cancelled by the caller", executed: .maybe), on: host.loop)
    case .ping:
      guard header.length == 0 else { throw .malformedFrame("a PING has no payload") }
      output.appendEmptyFrame(.pong, callID: header.callID)
    case .pong:
      guard header.length == 0 else { throw .malformedFrame("a PONG has no payload") }
    case .goAway:
      _ = try GoAway(header: header, payload: payload)
      // The client takes no answers any more beyond those in flight.
      connection.peerDrains()
    case .proof: try prove(try Proof(payload: payload), into: &output)
    case .hello: throw .malformedFrame("a second HELLO")
    case .bound, .reply, .error, .generation, .call:
      throw .malformedFrame("a client does not send \(kind)")
    }
  }

  private func bind(_ callID: UInt64, _ bind: Bind, into output: inout ByteQueue) {
    do throws(RPCError) {
      let procedure = try core.find(
        service: bind.service, procedure: bind.procedure, arguments: bind.arguments, returns: bind.returns,
        for: connection)
      Bound(
        procedureID: procedure.id, arguments: procedure.signature.parameterTypes,
        returns: procedure.signature.returns, idempotent: procedure.procedure.idempotent
      ).encode(to: &output, callID: callID)
    } catch {
      refuseCall(callID, nil, error, &output)
    }
  }
}
