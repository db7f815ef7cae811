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
    // What was looked through before is not looked through again with every piece of a long line that comes.
    var searched = lineBytesSearched
    lineBytesSearched = 0
    while offset < bytes.byteCount {
      if connection.outputBytes > connection.limits.outputHighWater { return offset }
      guard let end = Self.lineEnd(in: bytes, from: max(offset, searched)) else {
        let waiting = bytes.byteCount - offset
        guard waiting <= host.options.frameBytes else { return refuse(tooLong(waiting), bytes) }
        connection.bytesWanted = waiting + 1
        lineBytesSearched = waiting
        return offset
      }
      searched = 0
      guard end - offset <= host.options.frameBytes else {
        return refuse(tooLong(end - offset), bytes)
      }
      let line = bytes.extracting(offset..<end)
      if !Self.isBlank(line) {
        guard handle(line) else {
          connection.pauseReading()
          return offset
        }
      }
      offset = end + 1
      if !connection.isReceiving { return bytes.byteCount }
    }
    return offset
  }

  private func tooLong(_ count: Int) -> RPCError {
    RPCError(
      .resourceExhausted, "a line is longer than the limit of \(host.options.frameBytes) bytes",
      actual: count, limit: host.options.frameBytes)
  }

  /// Starts one request, or returns false when it has to wait for those before it.
  private func handle(_ line: RawSpan) -> Bool {
    let request: JSONDialect.Request
    do {
      request = try JSONDialect.request(from: line)
    } catch {
      guard calls.isEmpty else { return false }
      host.countFailure(nil, error.error)
      host.log.failed(nil, error.error, by: caller)
      connection.send { JSONDialect.appendException(error.error, id: error.id, to: &$0) }
      return true
    }
    if request.id == nil, !calls.isEmpty { return false }
    do {
      try start(request)
    } catch {
      host.countFailure(nil, error)
      host.log.failed(nil, error, by: caller)
      connection.send { JSONDialect.appendException(error, id: request.id, to: &$0) }
    }
    return true
  }

  private func start(_ request: JSONDialect.Request) throws(RPCError) {
    if isDraining { throw Self.draining }
    let catalogue = host.catalogue
    if let client = request.client, caller.claimed != client {
      try caller.claim(client, in: catalogue, willProve: false)
      access = Access()
    }
    let (procedure, arguments) = try resolve(request, in: catalogue)
    guard allows(service: procedure.service, in: catalogue) else {
      throw notRegistered(procedure, catalogue)
    }
    try host.admit(inFlight: calls.count)
    let id = request.id
    let lineID = nextLineID
    nextLineID += 1
    let call = ActiveCall(
      id: lineID, procedure: procedure, started: host.loop.now,
      deadline: host.deadline(of: procedure, timeout: (request.timeoutMicroseconds ?? 0) * 1000)
    ) { [self] call, result in
      ended(call)
      host.log.concluded(call, result, by: caller, now: Syscall.monotonicNanoseconds())
      host.count(call, result)
      guard connection.isReceiving else { return }
      connection.send { output in JSONReply.append(result, id: id, to: &output) }
      afterAnswer()
    }
    began(call)
    host.run(call, arguments: Value.list(arguments).messagePack, session: self)
  }

  /// Picks the overload: by the types that the request names, else by what its values fit.
  private func resolve(
    _ request: JSONDialect.Request, in catalogue: Catalogue
  ) throws(RPCError) -> (BoundProcedure, [Value]) {
    if let types = request.argumentTypes {
      let procedure = try catalogue.find(
        service: request.service, procedure: request.rpc, arguments: types, returns: request.returnTypes)
      do {
        return (procedure, try Self.decode(request.arguments, for: procedure))
      } catch {
        throw catalogue.invalidArguments(
          "\(procedure.signature.qualifiedName): \(error.message)",
          try catalogue.overloads(service: request.service, procedure: request.rpc))
      }
    }
    let overloads = try catalogue.overloads(service: request.service, procedure: request.rpc)
    // Values as they stand, by their own types, before strings are read as something else.
    let own = request.arguments.map { ValueType(describing: $0) }
    if let procedure = try? catalogue.find(
      service: request.service, procedure: request.rpc, arguments: own, returns: request.returnTypes),
      let values = try? Self.decode(request.arguments, for: procedure)
    {
      return (procedure, values)
    }
    for overload in overloads where overload.signature.returnsFit(request.returnTypes) {
      if let values = try? Self.decode(request.arguments, for: overload) { return (overload, values) }
    }
    throw catalogue.noOverload(
      service: request.service, procedure: request.rpc, arguments: own, returns: request.returnTypes,
      overloads)
  }

  private static func decode(
    _ arguments: [Value], for procedure: BoundProcedure
  ) throws(JSONMismatch) -> [Value] {
    let parameters = procedure.signature.parameters
    guard arguments.count == parameters.count else {
      throw JSONMismatch("expected \(parameters.count) arguments, found \(arguments.count)")
    }
    var values: [Value] = []
    for (argument, parameter) in zip(arguments, parameters) {
      // A string may stand for any type: it is read as the declared one.
      if case .string(let text) = argument {
        values.append(try parameter.type.value(fromText: text))
      } else {
        values.append(try parameter.type.value(fromJSON: argument))
      }
    }
    return values
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
  static func append(_ error: RPCError, id: Value?, to output: inout ByteQueue) {
    JSONDialect.appendException(error, id: id, to: &output)
  }

  static func append(_ result: Result<[UInt8], RPCError>, id: Value?, to output: inout ByteQueue) {
    switch result {
    case .success(let bytes):
      do {
        JSONDialect.appendResult(try Value.list(messagePack: bytes), id: id, to: &output)
      } catch {
        append(
          RPCError(.executionException, "the result is no value: \(error)", executed: .yes), id: id,
          to: &output)
      }
    case .failure(let error): append(error, id: id, to: &output)
    }
  }
}
