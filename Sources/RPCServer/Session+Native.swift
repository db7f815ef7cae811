internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// The native dialect: frames in, frames out. `receivedFrames` and `call` are the hot path: after warm-up
/// they allocate nothing for a closure's call, copy no payload and take no lock.
extension Session {
  func receivedFrames(_ bytes: RawSpan, from start: Int, into output: inout ByteQueue) -> Int {
    var offset = start
    // A generation comes by way of the loop's mail, so this one stays in force while these frames are handled.
    let catalogue = host.catalogue
    do {
      while let header = try decoder.next(in: bytes, at: offset) {
        if connection.isOverHighWater(output) { return offset }
        let end = offset + FrameHeader.byteCount + Int(header.length)
        let payload = bytes.extracting(offset + FrameHeader.byteCount..<end)
        offset = end
        if header.kind == FrameKind.call.rawValue, dialect == .native {
          if let procedure = try call(header, payload, in: catalogue, into: &output) {
            offset = repeatedCalls(of: procedure, in: bytes, from: end, into: &output)
          }
        } else {
          try control(header, payload, into: &output)
        }
        // A frame may have ended the connection: what follows it is thrown away.
        if !connection.isReceiving { return bytes.byteCount }
      }
    } catch {
      return refuse(protocolError(error), bytes)
    }
    if offset < bytes.byteCount {
      connection.bytesWanted = decoder.bytesNeeded(in: bytes, at: offset)
    }
    return offset
  }

  private func protocolError(_ error: WireError) -> RPCError {
    if case .frameTooLarge(let actual, let limit) = error {
      return RPCError(.resourceExhausted, error.description, actual: actual, limit: limit)
    }
    return RPCError(.protocolError, error.description)
  }

  // MARK: CALL

  /// Answers one call, or begins it. Returns its procedure where that is a closure which was run just now.
  private func call(
    _ header: FrameHeader, _ payload: RawSpan, in catalogue: Catalogue, into output: inout ByteQueue
  ) throws(WireError) -> BoundProcedure? {
    var reader = MessagePackReader(payload)
    let target = try reader.readFixed(UInt64.self)
    let id = Int(UInt32(truncatingIfNeeded: target))
    let timeout = UInt64(UInt32(truncatingIfNeeded: target >> 32)) * 1000
    let depth = header.flags.isEmpty ? 0 : try readOptionalParts(header.flags, &reader)
    if header.callID > lastCallID { lastCallID = header.callID }
    try checkID(header.callID)
    // Two answers with one id could not be told apart, however quick the second call is.
    guard calls.isEmpty || calls[header.callID] == nil else {
      refuse(RPCError(.protocolError, "the call id \(header.callID) is in flight already"))
      return nil
    }

    guard id < catalogue.procedures.count, let procedure = catalogue.procedures[id] else {
      refuseCall(
        header.callID, nil,
        RPCError(.staleBinding, "no procedure of this generation has the id \(id): bind again"), &output)
      return nil
    }
    guard allows(service: procedure.service, in: catalogue) else {
      refuseCall(header.callID, procedure, notRegistered(procedure, catalogue), &output)
      return nil
    }
    if isDraining {
      refuseCall(header.callID, procedure, Self.draining, &output)
      return nil
    }
    guard procedure.isImmediate else {
      startCall(header.callID, procedure, &reader, timeout: timeout, depth: depth, into: &output)
      return nil
    }
    let mark = output.beginFrame(.reply, callID: header.callID)
    do throws(RPCError) {
      try procedure.body(&reader, &output)
      try endReply(mark, &output)
    } catch {
      output.truncate(to: mark)
      refuseCall(header.callID, procedure, explained(error, procedure), &output)
      return nil
    }
    countExecutions(of: procedure, 1)
    return procedure
  }

  @inline(__always)
  private func countExecutions(of procedure: BoundProcedure, _ count: UInt64) {
    guard count > 0 else { return }
    host.countExecutions(procedure, count)
    host.log.executed(procedure, by: caller, times: count)
  }

  @inline(__always)
  private func endReply(_ mark: Int, _ output: inout ByteQueue) throws(RPCError) {
    let size = output.count - mark - FrameHeader.byteCount
    guard size <= peerFrameBytes else {
      throw RPCError(
        .resourceExhausted, "the reply is larger than the caller takes", executed: .yes, actual: size,
        limit: peerFrameBytes)
    }
    output.endFrame(mark)
  }

  /// Answers the calls that follow upon a call of the same closure, as long as they come whole and plain: the
  /// procedure was found and its caller authorised a moment ago, in this generation, and nothing in between can
  /// change that. They are counted and logged together. The first frame that is anything else is left to
  /// `receivedFrames`.
  ///
  /// Returns where that frame starts.
  private func repeatedCalls(
    of procedure: BoundProcedure, in bytes: RawSpan, from start: Int, into output: inout ByteQueue
  ) -> Int {
    // What calls in flight there are cannot change while closures run.
    guard calls.isEmpty else { return start }
    let body = procedure.body
    let id = procedure.id
    let highWater = connection.limits.outputHighWater
    var offset = start
    var executed: UInt64 = 0
    var highestID = lastCallID
    while output.count <= highWater, let header = FrameHeader(bytes, at: offset),
      header.kind == FrameKind.call.rawValue, header.flags.isEmpty, header.callID > 0,
      Int(header.length) <= decoder.frameBytesLimit, header.length >= 8,
      bytes.byteCount - offset - FrameHeader.byteCount >= Int(header.length)
    {
      let payload = offset + FrameHeader.byteCount
      var reader = MessagePackReader(bytes.extracting(payload..<payload + Int(header.length)))
      guard let target = try? reader.readFixed(UInt64.self), UInt32(truncatingIfNeeded: target) == id else {
        break
      }
      let mark = output.beginFrame(.reply, callID: header.callID)
      do throws(RPCError) {
        try body(&reader, &output)
        try endReply(mark, &output)
        executed &+= 1
      } catch {
        output.truncate(to: mark)
        // In the order in which they were: first those that went well.
        countExecutions(of: procedure, executed)
        executed = 0
        refuseCall(header.callID, procedure, explained(error, procedure), &output)
      }
      if header.callID > highestID { highestID = header.callID }
      offset = payload + Int(header.length)
    }
    lastCallID = highestID
    countExecutions(of: procedure, executed)
    return offset
  }

  /// An answer with the id 0 would speak of the whole connection.
  @inline(__always)
  private func checkID(_ id: UInt64) throws(WireError) {
    guard id > 0 else { throw .malformedFrame("a call id is above 0") }
  }

  /// A mismatch of arguments tells every signature that would be right.
  private func explained(_ error: RPCError, _ procedure: BoundProcedure) -> RPCError {
    guard error.exception == .invalidArguments else { return error }
    let signature = procedure.signature
    let overloads =
      (try? host.catalogue.overloads(service: signature.service, procedure: signature.name)) ?? [procedure]
    return host.catalogue.invalidArguments("\(signature.qualifiedName): \(error.message)", overloads)
  }

  /// Reads the trace context and the metadata of a CALL. Returns how deep the call is nested.
  private func readOptionalParts(
    _ flags: FrameHeader.Flags, _ reader: inout MessagePackReader
  ) throws(WireError) -> Int {
    guard flags.isSubset(of: .known) else {
      throw .malformedFrame("a CALL has unknown flags (\(flags.rawValue))")
    }
    if flags.contains(.trace) { _ = try reader.readRaw(CallFrame.traceByteCount) }
    if flags.contains(.metadata) {
      let start = reader.offset
      _ = try reader.readMapHeader()
      // The header was read to see that it is a map; the whole is passed over.
      var whole = MessagePackReader(reader.slice(start..<start + reader.remaining + reader.offset - start))
      try whole.skip()
      guard whole.offset <= WireLimits.metadataBytesMax else {
        throw .tooMany(what: "bytes of metadata", actual: whole.offset, limit: WireLimits.metadataBytesMax)
      }
      _ = try reader.readRaw(whole.offset - (reader.offset - start))
      return try CallFrame.depth(in: reader.slice(start..<reader.offset))
    }
    return 0
  }

  /// A call whose runtime answers later.
  private func startCall(
    _ callID: UInt64, _ procedure: BoundProcedure, _ reader: inout MessagePackReader, timeout: UInt64,
    depth: Int, into output: inout ByteQueue
  ) {
    do {
      try CallFrame.checkDepth(depth, of: procedure.signature.qualifiedName)
      let arguments = try host.checkedArguments(of: procedure, &reader, caller: caller)
      try host.admit(arguments, inFlight: calls.count, on: connection)
      let call = ActiveCall(
        id: callID, procedure: procedure, started: host.loop.now,
        deadline: host.deadline(of: procedure, timeout: timeout), depth: depth, heldBytes: arguments.count
      ) { [self] call, result in
        ended(call)
        host.log.concluded(call, result, by: caller, now: Syscall.monotonicNanoseconds())
        host.count(call, result)
        // An error of the whole connection is the last that is said on it.
        guard connection.isReceiving else { return }
        connection.send { output in append(result, callID: call.id, to: &output) }
        afterAnswer()
      }
      began(call)
      host.run(call, arguments: arguments, session: self)
    } catch {
      refuseCall(callID, procedure, error, &output)
    }
  }

  private func append(_ result: Result<[UInt8], RPCError>, callID: UInt64, to output: inout ByteQueue) {
    switch result {
    case .success(let values) where values.count > peerFrameBytes:
      RPCError(
        .resourceExhausted, "the reply is larger than the caller takes", executed: .yes,
        actual: values.count, limit: peerFrameBytes
      ).encode(to: &output, callID: callID)
    case .success(let values):
      let mark = output.beginFrame(.reply, callID: callID)
      output.append(values)
      output.endFrame(mark)
    case .failure(let error): error.encode(to: &output, callID: callID)
    }
  }

  private func refuseCall(
    _ callID: UInt64, _ procedure: BoundProcedure?, _ error: RPCError, _ output: inout ByteQueue
  ) {
    host.countFailure(procedure, error)
    host.log.failed(procedure, error, by: caller)
    error.encode(to: &output, callID: callID)
  }

  func notRegistered(_ procedure: BoundProcedure, _ catalogue: Catalogue) -> RPCError {
    RPCError(
      .clientNotRegistered,
      caller.refusal(
        of: procedure.signature.service, in: catalogue, isDeployer: host.core.deployers.include(caller)))
  }

  static let draining = RPCError(.unavailable, "the server is shutting down", executed: .no)

  // MARK: Control frames

  private func control(
    _ header: FrameHeader, _ payload: RawSpan, into output: inout ByteQueue
  ) throws(WireError) {
    // The decoder has refused unknown kinds.
    guard let kind = FrameKind(rawValue: header.kind) else { throw .unknownFrameKind(header.kind) }
    guard dialect == .native else {
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
      calls[header.callID]?.end(
        RPCError(.cancelled, "cancelled by the caller", executed: .maybe), on: host.loop)
    case .ping:
      guard header.length == 0 else { throw .malformedFrame("a PING has no payload") }
      output.appendEmptyFrame(.pong, callID: header.callID)
    case .pong:
      guard header.length == 0 else { throw .malformedFrame("a PONG has no payload") }
    case .goAway:
      _ = try GoAway(header: header, payload: payload)
      // The client takes no answers any more beyond those in flight.
      isDraining = true
      if calls.isEmpty { connection.closeAfterFlush() }
    case .proof: try prove(try Proof(payload: payload), into: &output)
    case .hello: throw .malformedFrame("a second HELLO")
    case .bound, .reply, .error, .generation, .call:
      throw .malformedFrame("a client does not send \(kind)")
    }
  }

  private func bind(_ callID: UInt64, _ bind: Bind, into output: inout ByteQueue) {
    do throws(RPCError) {
      let catalogue = host.catalogue
      let overloads = try catalogue.overloads(service: bind.service, procedure: bind.procedure)
      guard allows(service: overloads[0].service, in: catalogue) else {
        throw notRegistered(overloads[0], catalogue)
      }
      let procedure = try catalogue.find(
        service: bind.service, procedure: bind.procedure, arguments: bind.arguments, returns: bind.returns)
      Bound(
        procedureID: procedure.id, arguments: procedure.signature.parameterTypes,
        returns: procedure.signature.returns, idempotent: procedure.procedure.idempotent
      ).encode(to: &output, callID: callID)
    } catch {
      refuseCall(callID, nil, error, &output)
    }
  }

  // MARK: What the server says by itself

  /// Takes no more calls; closes when those in flight are answered.
  func drain() {
    guard !isDraining else { return }
    isDraining = true
    if dialect == .native, connection.isReceiving { connection.send { goAway(into: &$0) } }
    if calls.isEmpty { connection.closeAfterFlush() }
  }

  func goAway(into output: inout ByteQueue) {
    GoAway(
      lastCallID: lastCallID, reason: "the server is shutting down",
      drainMilliseconds: host.options.drainTimeoutMilliseconds
    ).encode(to: &output)
  }

  /// Tells a native peer that its bindings may be outdated.
  func announce(generation: Int) {
    guard dialect == .native, connection.isReceiving else { return }
    connection.send { $0.appendEmptyFrame(.generation, callID: UInt64(generation)) }
  }
}
