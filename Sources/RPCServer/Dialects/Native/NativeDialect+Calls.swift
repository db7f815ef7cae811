internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// CALL, the hot path: after warm-up a closure's call allocates nothing, copies no payload and takes no lock.
extension NativeDialect {
  // MARK: CALL

  /// Answers one call, or begins it. Returns its procedure where that is a closure which was run just now.
  func call(
    _ header: FrameHeader, _ payload: RawSpan, in catalogue: Catalogue, into output: inout ByteQueue
  ) throws(WireError) -> BoundProcedure? {
    var reader = MessagePackReader(payload)
    let target = try reader.readFixed(UInt64.self)
    let id = Int(UInt32(truncatingIfNeeded: target))
    let timeout = UInt64(UInt32(truncatingIfNeeded: target >> 32)) * 1000
    let context = header.flags.isEmpty ? CallContext() : try readContext(header.flags, &reader)
    if header.callID > lastCallID { lastCallID = header.callID }
    try checkID(header.callID)
    // Two answers with one id could not be told apart, however quick the second call is.
    guard connection.calls.isEmpty || connection.calls[header.callID] == nil else {
      connection.refuse(RPCError(.protocolError, "the call id \(header.callID) is in flight already"))
      return nil
    }

    guard id < catalogue.procedures.count, let procedure = catalogue.procedures[id] else {
      refuseCall(
        header.callID, nil,
        RPCError(.staleBinding, "no procedure of this generation has the id \(id): bind again"), &output)
      return nil
    }
    let isAllowed =
      header.flags.isEmpty
      ? connection.allows(service: procedure.service, in: catalogue)
      : connection.allows(service: procedure.service, in: catalogue, to: context.service)
    guard isAllowed else {
      refuseCall(
        header.callID, procedure, core.notAllowed(procedure, connection, to: context.service), &output)
      return nil
    }
    if connection.isDraining {
      refuseCall(header.callID, procedure, CallCore.draining, &output)
      return nil
    }
    guard payload.byteCount <= procedure.spotBytesMax else {
      callRuntime(header, procedure, &reader, timeout: timeout, context, into: &output)
      return nil
    }
    let mark = output.beginFrame(.reply, callID: header.callID)
    beginSpot(header, procedure, timeout, context)
    defer { endSpot(header) }
    do throws(RPCError) {
      try procedure.body(&reader, &output)
      try endReply(mark, &output)
    } catch {
      output.truncate(to: mark)
      refuseCall(header.callID, procedure, core.explained(error, procedure), &output)
      return nil
    }
    core.executed(procedure, times: 1, by: caller)
    return procedure
  }

  @inline(__always)
  private func endReply(_ mark: Int, _ output: inout ByteQueue) throws(RPCError) {
    let size = output.count - mark - FrameHeader.byteCount
    guard size <= peerFrameBytes else {
      throw RPCError(
        .resourceExhausted, "the reply is larger than the caller takes", executed: .yes, actual: size,
        limit: peerFrameBytes, unit: .bytes)
    }
    output.endFrame(mark)
  }

  /// Answers the calls that follow upon a call of the same closure, as long as they come whole and plain: the
  /// procedure was found and its caller authorised just before, in this generation, and nothing in between can
  /// change that. They are counted and logged together. The first frame that is anything else is left to
  /// `read`.
  ///
  /// Returns where that frame starts.
  func repeatedCalls(
    of procedure: BoundProcedure, in bytes: RawSpan, from start: Int, into output: inout ByteQueue
  ) -> Int {
    // What calls in flight there are cannot change while closures run.
    guard connection.calls.isEmpty else { return start }
    let body = procedure.body
    let id = procedure.id
    core.spot.value.begin(procedure, on: connection, timeout: 0)
    defer { core.spot.value.end() }
    let highWater = socket.limits.outputHighWater
    let bytesMax = min(decoder.frameBytesLimit, procedure.spotBytesMax)
    var offset = start
    var executed: UInt64 = 0
    var highestID = lastCallID
    while output.count <= highWater, let header = FrameHeader(bytes, at: offset),
      header.kind == FrameKind.call.rawValue, header.flags.isEmpty, header.callID > 0,
      Int(header.length) <= bytesMax, header.length >= 8,
      bytes.byteCount - offset - FrameHeader.byteCount >= Int(header.length)
    {
      let payload = offset + FrameHeader.byteCount
      var reader = MessagePackReader(bytes.extracting(payload..<payload + Int(header.length)))
      guard let target = try? reader.readFixed(UInt64.self), UInt32(truncatingIfNeeded: target) == id else {
        break
      }
      core.spot.value.timeout = UInt64(UInt32(truncatingIfNeeded: target >> 32)) * 1000
      let mark = output.beginFrame(.reply, callID: header.callID)
      do throws(RPCError) {
        try body(&reader, &output)
        try endReply(mark, &output)
        executed &+= 1
      } catch {
        output.truncate(to: mark)
        // In the order in which they were: first those that went well.
        core.executed(procedure, times: executed, by: caller)
        executed = 0
        refuseCall(header.callID, procedure, core.explained(error, procedure), &output)
      }
      if header.callID > highestID { highestID = header.callID }
      offset = payload + Int(header.length)
    }
    lastCallID = highestID
    core.executed(procedure, times: executed, by: caller)
    return offset
  }

  /// An answer with the id 0 would speak of the whole connection.
  @inline(__always)
  func checkID(_ id: UInt64) throws(WireError) {
    guard id > 0 else { throw .malformedFrame("a call id is above 0") }
  }

  /// Reads the trace context and the metadata of a CALL.
  private func readContext(
    _ flags: FrameHeader.Flags, _ reader: inout MessagePackReader
  ) throws(WireError) -> CallContext {
    guard flags.isSubset(of: .known) else {
      throw .malformedFrame("a CALL has unknown flags (\(flags.rawValue))")
    }
    var context = CallContext()
    if flags.contains(.trace) {
      let range = try reader.readRaw(CallFrame.traceByteCount)
      context.trace = reader.slice(range).withUnsafeBytes { Array($0) }
    }
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
      context.metadata = reader.slice(start..<reader.offset).withUnsafeBytes { Array($0) }
      let nesting = try CallFrame.Nesting(in: reader.slice(start..<reader.offset))
      context.depth = nesting.depth
      context.service = nesting.service
    }
    return context
  }

  /// Notes the call that runs from now on. Without flags nothing came along that it could be asked for.
  @inline(__always)
  private func beginSpot(
    _ header: FrameHeader, _ procedure: BoundProcedure, _ timeout: UInt64, _ context: CallContext
  ) {
    guard !header.flags.isEmpty else {
      return core.spot.value.begin(procedure, on: connection, timeout: timeout)
    }
    core.spot.value.begin(procedure, on: connection, timeout: timeout, .native(context), by: nil)
  }

  @inline(__always)
  private func endSpot(_ header: FrameHeader) {
    if header.flags.isEmpty { core.spot.value.end() } else { core.spot.value.endAll() }
  }

  /// A call of a procedure in a runtime: answered here where that can be done, and else later.
  private func callRuntime(
    _ header: FrameHeader, _ procedure: BoundProcedure, _ reader: inout MessagePackReader, timeout: UInt64,
    _ context: CallContext, into output: inout ByteQueue
  ) {
    let arguments = reader.slice(reader.offset..<reader.offset + reader.remaining)
    guard context.depth <= WireLimits.callDepthMax,
      let runtime = core.spot(for: procedure, bytes: arguments.byteCount, on: connection)
    else { return start(header.callID, procedure, arguments, timeout: timeout, context, into: &output) }
    let mark = output.beginFrame(.reply, callID: header.callID)
    beginSpot(header, procedure, timeout, context)
    let end = runtime.run(arguments, into: &output)
    endSpot(header)
    switch end {
    case .done:
      do throws(RPCError) {
        try endReply(mark, &output)
        core.executedInRuntime(procedure, by: caller)
      } catch {
        output.truncate(to: mark)
        refuseCall(header.callID, procedure, error, &output)
      }
    case .notRun:
      output.truncate(to: mark)
      start(header.callID, procedure, arguments, timeout: timeout, context, into: &output)
    case .left(let rest):
      output.truncate(to: mark)
      core.goOn(
        rest, header.callID, procedure, arguments.withUnsafeBytes { Array($0) }, timeoutNanoseconds: timeout,
        context: context, on: connection, sink: NativeReplySink(self, callID: header.callID))
    }
  }

  /// A call whose runtime answers later.
  private func start(
    _ callID: UInt64, _ procedure: BoundProcedure, _ arguments: RawSpan, timeout: UInt64,
    _ context: CallContext,
    into output: inout ByteQueue
  ) {
    do throws(RPCError) {
      try core.start(
        callID, procedure, arguments.withUnsafeBytes { Array($0) }, isChecked: false,
        timeoutNanoseconds: timeout, context: context,
        on: connection, sink: NativeReplySink(self, callID: callID))
    } catch {
      refuseCall(callID, procedure, error, &output)
    }
  }

  func refuseCall(
    _ callID: UInt64, _ procedure: BoundProcedure?, _ error: RPCError, _ output: inout ByteQueue
  ) {
    core.failed(procedure, error, by: caller)
    error.encode(to: &output, callID: callID)
  }
}
