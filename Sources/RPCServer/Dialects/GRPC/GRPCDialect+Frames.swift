internal import CNGHTTP2
internal import RPCTransport
internal import RPCWire

/// What nghttp2 tells of the frames that come and go. Each answers 0, or what makes nghttp2 stop.
extension GRPCDialect {
  private static let fatal = Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)

  /// Ends the connection once the bytes at hand are done with.
  private func violate(_ error: RPCError) -> Int32 {
    if violation == nil { violation = error }
    return Self.fatal
  }

  var tooManyIdleFrames: RPCError {
    RPCError(
      .resourceExhausted,
      "too many frames that bring nothing (resets, pings, settings, window updates, empty data): "
        + "\(GRPCLimits.idleFramesPerSecond) a second are taken")
  }

  /// The head of a frame has come: what costs work and brings none is counted.
  func began(frame head: nghttp2_frame_hd) -> Int32 {
    switch UInt32(head.type) {
    case NGHTTP2_HEADERS.rawValue: return 0
    case NGHTTP2_DATA.rawValue:
      let isEnd = UInt32(head.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
      let isPadded = UInt32(head.flags) & NGHTTP2_FLAG_PADDED.rawValue != 0
      if head.length > 0, !isPadded || isEnd { return 0 }
      if isEnd { return 0 }
    default: break
    }
    return budget.take(now: host.loop.now) ? 0 : violate(tooManyIdleFrames)
  }

  func began(headers frame: nghttp2_frame) -> Int32 {
    let id = frame.hd.stream_id
    current = nil
    guard frame.headers.cat == NGHTTP2_HCAT_REQUEST else {
      current = stream(id).map { .passUnretained($0) }
      return 0
    }
    guard let stream = open(id) else {
      HTTP2Session.reset(session, id, NGHTTP2_REFUSED_STREAM)
      return 0
    }
    current = .passUnretained(stream)
    return 0
  }

  @inline(__always)
  func received(field name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Int32 {
    guard let current else { return 0 }
    return current._withUnsafeGuaranteedRef { received(field: name, value, of: $0) }
  }

  @inline(__always)
  private func received(
    field name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>, of stream: GRPCStream
  ) -> Int32 {
    guard stream.head.count(name.count + value.count) else {
      return violate(
        RPCError(
          .resourceExhausted, "a request has more than \(GRPCLimits.headerFieldsFatal) header fields",
          limit: GRPCLimits.headerFieldsMax))
    }
    if name.first == UInt8(ascii: ":") {
      if name.equals(":path") {
        stream.head.target = host.grpcMethods.find(value)
        stream.head.take(path: value)
      } else if name.equals(":method") {
        stream.head.isPost = value.equals("POST")
        stream.head.isOptions = value.equals("OPTIONS")
        stream.head.isHead = value.equals("HEAD")
        stream.head.isRead = stream.head.isHead || value.equals("GET")
      } else if name.equals(":authority") {
        stream.head.take(authority: value)
      }
    } else {
      stream.head.take(name, value)
    }
    return 0
  }

  func received(data bytes: UnsafeRawBufferPointer, on id: Int32) -> Int32 {
    // What comes after the end of an answer is of no use; an answer of several messages has not ended with its first.
    guard let stream = stream(id), !stream.isAnswered || stream.builtin != nil, stream.status == nil else {
      return 0
    }
    take(bytes, stream)
    return 0
  }

  func received(frame: nghttp2_frame) -> Int32 {
    let hasEnded = UInt32(frame.hd.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_HEADERS.rawValue:
      current = nil
      guard let stream = stream(frame.hd.stream_id) else { return 0 }
      if frame.headers.cat == NGHTTP2_HCAT_REQUEST { headIsComplete(stream) }
      if hasEnded { requestHasEnded(stream) }
    case NGHTTP2_DATA.rawValue:
      if hasEnded, let stream = stream(frame.hd.stream_id) { requestHasEnded(stream) }
    case NGHTTP2_SETTINGS.rawValue:
      let isAcknowledgement = UInt32(frame.hd.flags) & NGHTTP2_FLAG_ACK.rawValue != 0
      guard !isAcknowledgement, !isGreeted else { return 0 }
      isGreeted = true
      connection.keepalive.milliseconds = host.options.keepaliveMilliseconds
      connection.greeted()
    case NGHTTP2_PING.rawValue:
      guard UInt32(frame.hd.flags) & NGHTTP2_FLAG_ACK.rawValue != 0 else { return 0 }
      let isGoodbye = withUnsafeBytes(of: frame.ping.opaque_data) {
        $0.elementsEqual(HTTP2Session.goodbyePing)
      }
      if isGoodbye { sayGoodbye() }
    case NGHTTP2_GOAWAY.rawValue: connection.peerDrains()
    default: break
    }
    return 0
  }

  /// A frame has left.
  func sent(frame: nghttp2_frame) -> Int32 {
    switch UInt32(frame.hd.type) {
    case NGHTTP2_RST_STREAM.rawValue:
      // A peer can make us reset streams as well as reset them itself.
      guard frame.rst_stream.error_code != NGHTTP2_NO_ERROR.rawValue else { return 0 }
      if !budget.take(now: host.loop.now), violation == nil { violation = tooManyIdleFrames }
    case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
      guard UInt32(frame.hd.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 else { return 0 }
      budget.earn()
      // What is left of the request is of no use. Clients of gRPC expect to be stopped; those of HTTP stop by themselves,
      // and curl takes a reset for a failure of what it was answered.
      if let stream = stream(frame.hd.stream_id), !stream.requestHasEnded, !stream.head.isOther {
        HTTP2Session.reset(session, frame.hd.stream_id, NGHTTP2_NO_ERROR)
      }
    default: break
    }
    return 0
  }

  // MARK: Answers

  /// Answers with header fields alone.
  func submit(_ stream: GRPCStream, _ fields: [(name: String, value: String)]) {
    guard !stream.isAnswered else { return }
    stream.isAnswered = true
    HTTP2Session.submit(session, stream.id, fields, isTrailer: false)
  }

  /// Begins an answer with a body, which is taken from the stream's reply as the peer's windows allow.
  func submitReply(_ stream: GRPCStream) {
    guard !stream.isAnswered else { return }
    stream.isAnswered = true
    if stream.answerHead == nil, stream.head.allowedOrigin != nil {
      let type = stream.head.isWebText ? "application/grpc-web-text+proto" : "application/grpc-web+proto"
      stream.answerHead = [(":status", "200"), ("content-type", type)] + Self.originFields(stream)
    }
    if let head = stream.answerHead {
      return HTTP2Session.submit(session, stream.id, head, body: stream)
    }
    let content: rpc_h2_content =
      switch stream.head.content {
      case .web: RPC_H2_GRPC_WEB
      case .webText: RPC_H2_GRPC_WEB_TEXT
      default: RPC_H2_GRPC
      }
    rpc_h2_submit_reply(
      session, stream.id, content, Unmanaged.passUnretained(stream).toOpaque(), HTTP2Session.giveBody)
  }

  /// How many bytes of a reply go into the next DATA frame, and whether it is the last.
  func give(_ stream: GRPCStream, _ limit: Int, _ flags: inout UInt32) -> Int {
    let count = min(limit, stream.reply.count)
    flags |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
    guard count == stream.reply.count else { return count }
    guard let status = stream.status else {
      guard count == 0 else { return count }
      stream.isDeferred = true
      return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
    // gRPC-Web has its trailers in the body.
    guard stream.head.isGRPC else { return count }
    flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
    if status.code == .ok {
      rpc_h2_submit_ok(session, stream.id)
    } else {
      HTTP2Session.submit(session, stream.id, status.fields, isTrailer: true)
    }
    return count
  }

  /// More of a reply is there, or its end.
  func resume(_ stream: GRPCStream) {
    guard stream.isDeferred else { return }
    stream.isDeferred = false
    nghttp2_session_resume_data(session, stream.id)
  }
}
