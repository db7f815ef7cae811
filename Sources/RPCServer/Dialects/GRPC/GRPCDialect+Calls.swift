internal import HTTPTypes
internal import RPCProcedures
internal import RPCProto
internal import RPCTransport
internal import RPCWire

/// Requests become calls, and their outcomes answers.
extension GRPCDialect {
  /// Bytes in front of a message: whether it is compressed, and its length, big-endian.
  static let prefixBytes = 5

  // MARK: The head

  /// All header fields are there: what can be refused by them is, before any of the body is looked at.
  func headIsComplete(_ stream: GRPCStream) {
    if let refusal { return refuse(stream, andAll: refusal) }
    let page = stream.head.isRead ? HTTPPage(rawValue: stream.head.pathWithoutQuery) : nil
    // Load balancers ask for it by whatever name they have.
    if page != .health, stream.head.isFromBrowser, !admitBrowser(stream) { return }
    if let page { return show(page, stream) }
    if stream.head.isOptions { return answerOptions(stream) }
    if let problem = stream.head.problem { return refuse(stream, problem) }
    do throws(RPCError) {
      stream.token = try token(stream)
    } catch {
      return fail(stream, error)
    }
    if !stream.head.isPost { return beginWithoutPost(stream) }
    switch stream.head.content {
    case .none: beginUnary(stream, ContentType(""))
    case .other(let type): beginUnary(stream, ContentType(type))
    case .grpc, .web, .webText: beginCall(stream)
    }
  }

  private func beginCall(_ stream: GRPCStream) {
    switch stream.head.target {
    case .unknown: fail(stream, host.grpcMethods.unknown(stream.head.path))
    case .procedure(let method):
      guard allows(stream, method.procedure) else { return }
      refuseCompression(stream)
    case .builtin(let builtin):
      refuseCompression(stream)
      guard builtin.isStream, !stream.isAnswered else { return }
      guard !stream.head.isWebText else {
        return respond(stream, GRPCStatus(.unimplemented, "a stream is not offered as text"))
      }
      stream.builtin = builtin.makeStream(stream, self)
    }
  }

  /// Whether the caller may call a procedure: else it is told.
  @inline(__always)
  func allows(_ stream: GRPCStream, _ procedure: BoundProcedure) -> Bool {
    if stream.token == nil, connection.allows(service: procedure.service, in: host.catalogue) { return true }
    do throws(RPCError) {
      try core.authorise(procedure, for: connection, as: stream.token)
      return true
    } catch {
      fail(stream, error, procedure)
      return false
    }
  }

  func caller(of stream: GRPCStream) -> Caller { stream.token?.caller ?? connection.caller }

  private func refuseCompression(_ stream: GRPCStream) {
    let encoding = stream.head.encoding
    guard !encoding.isEmpty else { return }
    let name = String(decoding: encoding.prefix(64), as: UTF8.self)
    var status = GRPCStatus(
      .unimplemented, "messages compressed with '\(name)' are not taken here; send them as they are")
    status.add("grpc-accept-encoding", "identity")
    respond(stream, status)
  }

  private func refuse(_ stream: GRPCStream, _ problem: GRPCHead.Problem) {
    switch problem {
    case .malformedTimeout:
      refuseAsMalformed(stream, GRPCTimeout.whatItIs)
    case .malformedMetadata(let name):
      refuseAsMalformed(stream, "the metadata '\(name.prefix(64))' is not base64")
    case .tooManyFields(let count):
      fail(
        stream,
        RPCError(
          .resourceExhausted,
          "a request has more header fields than the limit of \(GRPCLimits.headerFieldsMax)", actual: count,
          limit: GRPCLimits.headerFieldsMax))
    case .tooManyBytes(let count):
      fail(
        stream,
        RPCError(
          .resourceExhausted,
          "a request's header fields are larger than the limit of \(GRPCLimits.headerBytesMax) bytes",
          actual: count, limit: GRPCLimits.headerBytesMax, unit: .bytes))
    }
  }

  private func refuseAsMalformed(_ stream: GRPCStream, _ message: String) {
    guard !stream.head.isOther else {
      return refuse(stream, HTTPRefusal(.badRequest, .invalidArgument, message))
    }
    core.failed(nil, RPCError(.protocolError, message), by: caller(of: stream))
    // Over gRPC-Web there is nobody who looks at the status of HTTP.
    guard stream.head.isGRPC else { return respond(stream, GRPCStatus(.internal, message)) }
    submit(
      stream,
      [(":status", "400"), ("content-type", "application/grpc")] + GRPCStatus(.internal, message).fields)
  }

  // MARK: The body

  /// Takes a piece of a body.
  func take(_ bytes: UnsafeRawBufferPointer, _ stream: GRPCStream) {
    // GET has its arguments in its path.
    guard !stream.head.isRead else { return }
    let count = stream.body.count + bytes.count
    if count > GRPCStream.keptBytes, let excess = socket.excess(of: bytes.count) {
      return fail(
        stream,
        CallCore.memoryExceeded(actual: excess.actual, limit: excess.limit, isStranger: socket.isStranger))
    }
    bodyBytes += bytes.count
    stream.body.append(RawSpan(_unsafeBytes: bytes))
    if let builtin = stream.builtin { return builtin.received() }
    let limit = host.options.frameBytes
    if stream.unary != nil {
      guard count > host.options.jsonBytes else { return }
      return fail(stream, tooLarge(count, host.options.jsonBytes))
    }
    if stream.head.isWebText {
      // Four characters for three bytes.
      guard count > (limit + Self.prefixBytes) / 3 * 4 + 4 else { return }
      return fail(stream, tooLarge(count / 4 * 3, limit))
    }
    guard let length = stream.messageLength else { return }
    if length > limit { return fail(stream, tooLarge(length, limit)) }
    if count > Self.prefixBytes + length { respond(stream, Self.severalMessages) }
  }

  private func tooLarge(_ count: Int, _ limit: Int) -> RPCError {
    RPCError(
      .resourceExhausted, "a message of \(count) bytes is larger than the limit of \(limit) bytes",
      actual: count,
      limit: limit, unit: .bytes)
  }

  private static let severalMessages = GRPCStatus(
    .unimplemented, "this method takes one message, and more came")

  func requestHasEnded(_ stream: GRPCStream) {
    stream.requestHasEnded = true
    guard !stream.isAnswered || stream.builtin != nil else { return }
    if let builtin = stream.builtin { return builtin.requestHasEnded() }
    // A peer that does not take its answers gets no more of them made.
    if isOverHeld { return wait(stream) }
    run(stream)
  }

  /// What is wrong with the only message of a request, or nil.
  private func problem(with stream: GRPCStream) -> GRPCStatus? {
    guard let length = stream.messageLength else {
      return stream.body.isEmpty
        ? GRPCStatus(.unimplemented, "this method takes one message, and none came")
        : GRPCStatus(.internal, "the request ends inside the length of its message")
    }
    if length > host.options.frameBytes { return GRPCStatus(tooLarge(length, host.options.frameBytes)) }
    if stream.body.count > Self.prefixBytes + length { return Self.severalMessages }
    if stream.body.count < Self.prefixBytes + length {
      return GRPCStatus(.internal, "the request ends inside its message")
    }
    switch stream.isCompressed {
    case 0: return nil
    case 1: return GRPCStatus(.internal, "a message is compressed, and 'grpc-encoding' does not say how")
    default: return GRPCStatus(.internal, "a message begins with neither 0 nor 1")
    }
  }

  // MARK: Calls

  /// Runs a request that is whole.
  func run(_ stream: GRPCStream) {
    if let unary = stream.unary { return unary.run() }
    // A page, which is being written.
    if stream.head.isRead { return }
    guard stream.head.isWebText else { return runMessage(stream) }
    guard stream.body.count <= BoundProcedure.spotBytes else { return decodeTextBeside(stream) }
    runDecoded(stream, GRPCWebText.decode(stream.body.copy()))
  }

  /// Runs a request whose message is as gRPC has it.
  func runMessage(_ stream: GRPCStream) {
    if let problem = problem(with: stream) { return respond(stream, problem) }
    switch stream.head.target {
    case .unknown: preconditionFailure("it was refused with its head")
    case .builtin(let builtin): answer(builtin, stream)
    case .procedure(let method):
      if method.procedure.isSlow(bytes: stream.body.count) { return decodeBeside(stream, method) }
      call(stream, method)
    }
  }

  private func call(_ stream: GRPCStream, _ method: GRPCMethod) {
    let procedure = method.procedure
    var arguments = ByteQueue()
    swap(&arguments, &self.arguments)
    defer {
      arguments.removeAll()
      swap(&arguments, &self.arguments)
    }
    do throws(ProtoError) {
      var body = ByteQueue()
      swap(&body, &stream.body)
      defer { swap(&body, &stream.body) }
      try method.request.decode(
        body.bytes.extracting(Self.prefixBytes..<body.count), into: &arguments, &scratch)
    } catch {
      return fail(
        stream, core.explained(RPCError(.invalidArguments, error.description), procedure), procedure)
    }
    guard arguments.count <= procedure.spotBytesMax else {
      return start(stream, method, arguments.copy(), received: nil)
    }
    var values = ByteQueue()
    swap(&values, &self.values)
    defer {
      values.removeAll()
      swap(&values, &self.values)
    }
    core.spot.value.begin(
      procedure, on: connection, timeout: stream.head.timeout, .grpc(stream), by: stream.token?.caller)
    defer { core.spot.value.endAll() }
    do throws(RPCError) {
      var reader = MessagePackReader(arguments.bytes)
      try procedure.body(&reader, &values)
    } catch {
      return fail(stream, core.explained(error, procedure), procedure)
    }
    core.executed(procedure, times: 1, by: caller(of: stream))
    answer(stream, method, values.bytes)
  }

  /// A long list of arguments is read beside the loop.
  private func decodeBeside(_ stream: GRPCStream, _ method: GRPCMethod) {
    let id = stream.id
    let received = host.loop.now
    let body = stream.messageBytes(stream.body.count - Self.prefixBytes)
    let request = method.request
    connection.beside(holding: body.count) { () -> Result<[UInt8], ProtoError> in
      var output = ByteQueue()
      var scratch = ProtoMessage.Scratch()
      return Result { () throws(ProtoError) in
        try request.decode(body.span.bytes, into: &output, &scratch)
        return output.copy()
      }
    } then: { [self] result in
      guard stream.id == id, !stream.isAnswered, socket.isReceiving else { return }
      switch result {
      case .success(let arguments): start(stream, method, arguments, received: received)
      case .failure(let error):
        let explained = core.explained(RPCError(.invalidArguments, error.description), method.procedure)
        fail(stream, explained, method.procedure)
      }
      flush()
    }
  }

  private func start(_ stream: GRPCStream, _ method: GRPCMethod, _ arguments: [UInt8], received: UInt64?) {
    var context = CallContext()
    context.metadata = stream.head.metadataMap()
    do throws(RPCError) {
      try core.start(
        UInt64(stream.id), method.procedure, arguments, timeoutNanoseconds: stream.head.timeout,
        received: received, context: context, on: connection, caller: caller(of: stream),
        sink: GRPCReplySink(self, stream, method))
    } catch {
      fail(stream, error, method.procedure)
    }
  }

  // MARK: Answers

  /// Answers with return values: a MessagePack list.
  func answer(_ stream: GRPCStream, _ method: GRPCMethod, _ values: RawSpan) {
    do throws(ProtoError) {
      try Self.append(method.response, values, to: &stream.reply)
    } catch {
      stream.reply.removeAll()
      return respond(
        stream,
        GRPCStatus(
          RPCError(.executionException, "the result cannot be written as protobuf: \(error)", executed: .yes))
      )
    }
    finish(stream)
  }

  /// Sends a reply that is whole, with what comes behind it where that stands in the body.
  func finishWhole(_ stream: GRPCStream) {
    stream.status = .ok
    held(stream.reply.count)
    submitReply(stream)
  }

  /// A message with its prefix.
  static func append(
    _ response: ProtoMessage, _ values: RawSpan, to reply: inout ByteQueue
  ) throws(ProtoError) {
    let start = reply.count
    reply.append(0 as UInt8)
    reply.append(bigEndian: 0 as UInt32)
    try response.encode(values, to: &reply)
    reply.patch(littleEndian: UInt32(reply.count - start - prefixBytes).byteSwapped, at: start + 1)
  }

  /// Sends a reply whose only message is in the stream.
  func finish(_ stream: GRPCStream) {
    if !stream.head.isGRPC { appendWebTrailers(stream, .ok) }
    finishWhole(stream)
  }

  /// Ends a request that did not become a call, or a closure's that failed.
  func fail(_ stream: GRPCStream, _ error: RPCError, _ procedure: BoundProcedure? = nil) {
    core.failed(procedure, error, by: caller(of: stream), code: GRPCStatus.code(of: error))
    if stream.head.isOther { return answerUnary(stream, error) }
    respond(stream, GRPCStatus(error))
  }

  /// Answers with a status alone.
  func respond(_ stream: GRPCStream, _ status: GRPCStatus) {
    guard !stream.isAnswered else { return }
    if stream.head.isWeb || stream.head.isWebText {
      stream.status = status
      appendWebTrailers(stream, status)
      held(stream.reply.count)
      return submitReply(stream)
    }
    submit(stream, [(":status", "200"), ("content-type", "application/grpc")] + status.fields)
  }
}
