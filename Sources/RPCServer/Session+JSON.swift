internal import Glibc
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// The json dialect: one object a line. A request without an `id` is answered before the next line is
/// looked at, so that its answer is the next one; those with an `id` run side by side. All answers leave by
/// way of `Connection.send`, which keeps their order whether they came at once or later.
extension Session {
  func receivedLines(_ bytes: RawSpan, into output: inout ByteQueue) -> Int {
    var offset = 0
    let limit = host.options.jsonBytes
    // What was looked through before is not looked through again with every piece of a long line that comes.
    var searched = lineBytesSearched
    lineBytesSearched = 0
    while offset < bytes.byteCount {
      if connection.outputBytes > connection.limits.outputHighWater { return offset }
      var next: Int
      let end: Int
      if let found = Self.lineEnd(in: bytes, from: max(offset, searched)) {
        end = found
        next = found + 1
      } else {
        // The last line needs no line end: nothing can follow it.
        end = bytes.byteCount
        next = end
      }
      guard end - offset <= limit else { return refuse(tooLong(end - offset), bytes) }
      if end == next, !connection.inputHasEnded {
        connection.bytesWanted = end - offset + 1
        lineBytesSearched = end - offset
        return offset
      }
      searched = 0
      let line = bytes.extracting(offset..<end)
      if !Self.isBlank(line) {
        guard handle(line) else {
          connection.pauseReading()
          return offset
        }
      }
      offset = next
      if !connection.isReceiving { return bytes.byteCount }
    }
    return offset
  }

  private func tooLong(_ count: Int) -> RPCError {
    let limit = host.options.jsonBytes
    return RPCError(
      .resourceExhausted, "a line is longer than the limit of \(limit) bytes", actual: count, limit: limit)
  }

  /// Starts one request, or returns false when it has to wait for those before it.
  private func handle(_ line: RawSpan) -> Bool {
    let request: JSONDialect.Request
    do {
      request = try JSONDialect.request(from: line)
    } catch {
      guard error.id != nil || calls.isEmpty else { return false }
      host.countFailure(nil, error.error)
      host.log.failed(nil, error.error, by: caller)
      connection.send { JSONDialect.appendException(error.error, id: error.id, to: &$0) }
      return true
    }
    if request.id == nil, !calls.isEmpty { return false }
    do {
      try start(request, of: line)
    } catch {
      host.countFailure(nil, error)
      host.log.failed(nil, error, by: caller)
      connection.send { JSONDialect.appendException(error, id: request.id, to: &$0) }
    }
    return true
  }

  private func start(_ request: JSONDialect.Request, of line: RawSpan) throws(RPCError) {
    if isDraining { throw Self.draining }
    let catalogue = host.catalogue
    if let client = request.client, caller.claimed.map({ !$0.hasSameUTF8(as: client) }) ?? true {
      try caller.claim(client, in: catalogue, willProve: false)
      renewAccess(in: catalogue)
    }
    // Who may call is known before a byte of the arguments is decoded.
    let overloads = try catalogue.overloads(service: request.service, procedure: request.rpc)
    guard allows(service: overloads[0].service, in: catalogue) else {
      throw notRegistered(overloads[0], catalogue)
    }
    let (procedure, arguments) = try resolve(request, request.arguments(in: line), overloads, in: catalogue)
    try host.admit(arguments, inFlight: calls.count, on: connection)
    let id = request.id
    let lineID = nextLineID
    nextLineID += 1
    let call = ActiveCall(
      id: lineID, procedure: procedure, started: host.loop.now,
      deadline: host.deadline(of: procedure, timeout: (request.timeoutMicroseconds ?? 0) * 1000),
      heldBytes: arguments.count
    ) { [self] call, result in
      ended(call)
      host.log.concluded(call, result, by: caller, now: Syscall.monotonicNanoseconds())
      host.count(call, result)
      guard connection.isReceiving else { return }
      connection.send { output in
        JSONReply.append(result, id: id, limit: host.options.jsonBytes, to: &output)
      }
      afterAnswer()
    }
    began(call)
    host.run(call, arguments: arguments, session: self)
  }

  /// Picks the overload, by the types that the request names, else by what its values fit, and encodes the arguments.
  private func resolve(
    _ request: JSONDialect.Request, _ arguments: JSONArguments, _ overloads: [BoundProcedure],
    in catalogue: Catalogue
  ) throws(RPCError) -> (BoundProcedure, [UInt8]) {
    if let types = request.argumentTypes {
      let procedure = try catalogue.find(
        service: request.service, procedure: request.rpc, arguments: types, returns: request.returnTypes)
      // What the caller does not know, the procedure does.
      let known = zip(types, procedure.signature.parameterTypes).map { $0.containsUnknown ? $1 : $0 }
      do {
        return (procedure, try Self.encode(arguments, as: known))
      } catch {
        throw catalogue.invalidArguments("\(procedure.signature.qualifiedName): \(error.message)", overloads)
      }
    }
    // Values as they stand, by their own types, before strings are read as something else.
    let own = arguments.types
    if let procedure = try? catalogue.find(
      service: request.service, procedure: request.rpc, arguments: own, returns: request.returnTypes),
      let encoded = try? Self.encode(arguments, as: procedure.signature.parameterTypes)
    {
      return (procedure, encoded)
    }
    var mismatch: JSONMismatch?
    let candidates = overloads.filter {
      $0.signature.parameters.count == own.count && $0.signature.returnsFit(request.returnTypes)
    }
    for overload in candidates {
      do {
        return (overload, try Self.encode(arguments, as: overload.signature.parameterTypes))
      } catch {
        mismatch = error
      }
    }
    // With one candidate what is wrong with it is the answer; with several it is that none fits.
    if let mismatch, candidates.count == 1 {
      throw catalogue.invalidArguments(
        "\(candidates[0].signature.qualifiedName): \(mismatch.message)", overloads)
    }
    throw catalogue.noOverload(
      service: request.service, procedure: request.rpc, arguments: own, returns: request.returnTypes,
      overloads)
  }

  private static func encode(
    _ arguments: JSONArguments, as types: [ValueType]
  ) throws(JSONMismatch) -> [UInt8] {
    var encoded = ByteQueue()
    try arguments.encode(as: types, to: &encoded)
    return encoded.copy()
  }

  private static func lineEnd(in bytes: RawSpan, from offset: Int) -> Int? {
    unsafe bytes.withUnsafeBytes { bytes in
      guard offset < bytes.count, let start = bytes.baseAddress else { return nil }
      let found = unsafe memchr(start + offset, Int32(UInt8(ascii: "\n")), bytes.count - offset)
      return unsafe found.map { unsafe UnsafeRawPointer($0) - start }
    }
  }

  private static func isBlank(_ line: RawSpan) -> Bool {
    unsafe line.withUnsafeBytes { bytes in
      unsafe bytes.allSatisfy {
        $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r")
      }
    }
  }
}

/// Answers of the json dialect, from results as the runtimes give them.
internal enum JSONReply {
  static func append(_ error: RPCError, id: JSONDialect.ID?, to output: inout ByteQueue) {
    JSONDialect.appendException(error, id: id, to: &output)
  }

  /// - Parameter limit: bytes of the values: writing more as JSON would keep others of the loop waiting.
  static func append(
    _ result: Result<[UInt8], RPCError>, id: JSONDialect.ID?, limit: Int, to output: inout ByteQueue
  ) {
    switch result {
    case .success(let bytes) where bytes.count > limit:
      append(
        RPCError(
          .resourceExhausted, "the result is larger than the limit of \(limit) bytes for JSON",
          executed: .yes,
          actual: bytes.count, limit: limit), id: id, to: &output)
    case .success(let bytes):
      do {
        try JSONDialect.appendResult(messagePack: bytes, id: id, to: &output)
      } catch {
        append(
          RPCError(.executionException, "the result cannot be written as JSON: \(error)", executed: .yes),
          id: id,
          to: &output)
      }
    case .failure(let error): append(error, id: id, to: &output)
    }
  }
}
