internal import CNGHTTP2
internal import RPCProcedures
internal import RPCProto
internal import RPCTransport
internal import RPCWire

/// gRPC over HTTP/2, whose frames are nghttp2's. All that is on one connection is here and in its streams: requests are
/// put together, run by the core, and answered within the peer's flow control.
internal final class GRPCDialect: Dialect {
  static let name = "grpc"

  // The connection lets go of its dialect when it is closed, so this holds nothing for ever.
  let connection: ServerConnection
  let socket: Connection
  let host: ServerLoop
  let core: CallCore
  let session: OpaquePointer
  // What every call touches is read and written in one step, or moved out while others are called: see `GRPCStream`.
  /// The caller that the last token named: most connections have one at most.
  var tokenCaller: TokenCaller?
  var isGreeted = false
  /// Every stream there is, by slot; those with the number 0 are free.
  @exclusivity(unchecked) private var streams: [GRPCStream] = []
  @exclusivity(unchecked) private var free: [GRPCStream] = []
  @exclusivity(unchecked) private(set) var openStreams = 0
  /// The stream whose header fields are coming.
  @exclusivity(unchecked) var current: Unmanaged<GRPCStream>?
  /// Those that wait for answers to leave, first come first.
  @exclusivity(unchecked) private var waiting: [GRPCStream] = []
  /// Bytes of answers that have not left.
  @exclusivity(unchecked) private(set) var heldReplyBytes = 0
  /// The stream whose `/metrics` are being written, 0 for none.
  var metricsStream: Int32 = 0
  /// Bytes of requests that are not run yet.
  @exclusivity(unchecked) var bodyBytes = 0
  /// Those of both that the connection's account has.
  @exclusivity(unchecked) private var countedBytes = 0
  /// When an answer last made progress, or began to wait.
  @exclusivity(unchecked) private var lastProgress: UInt64 = 0
  /// Since when a request is on its way that is not whole.
  @exclusivity(unchecked) private var incompleteSince: UInt64?
  @exclusivity(unchecked) var budget: FrameBudget
  /// Why the connection ends.
  @exclusivity(unchecked) var violation: RPCError?
  /// What every request is answered with, where none is taken.
  var refusal: RPCError?
  /// Bytes go out here while `pump` runs.
  @exclusivity(unchecked) private var output: UnsafeMutablePointer<ByteQueue>?
  @exclusivity(unchecked) private var isReading = false
  var goodbye = Goodbye.none
  @exclusivity(unchecked) var scratch = ProtoMessage.Scratch()
  @exclusivity(unchecked) var arguments = ByteQueue()
  @exclusivity(unchecked) var values = ByteQueue()

  /// How far the end is that a drain brings: first it is announced, then no new stream is taken.
  enum Goodbye: Equatable {
    case none
    case announced(at: UInt64)
    case said
  }

  init(on connection: ServerConnection) {
    self.connection = connection
    socket = connection.socket
    host = connection.host
    core = connection.host.calls
    budget = FrameBudget(now: connection.host.loop.now)
    session = HTTP2Session.make()
    HTTP2Session.adopt(session, self)
    HTTP2Session.sendSettings(session)
  }

  deinit { nghttp2_session_del(session) }

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  static func recognise(_ first: RawSpan, alpn: String?) -> Recognition {
    if let alpn { return alpn == "h2" ? .yes : .no }
    let count = min(first.byteCount, preface.count)
    for index in 0..<count
    where unsafe first.unsafeLoad(fromByteOffset: index, as: UInt8.self) != preface[index] { return .no }
    return count == preface.count ? .yes : .needs(bytes: preface.count)
  }

  // MARK: Input

  func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    isReading = true
    let taken = bytes.withUnsafeBytes { bytes in
      nghttp2_session_mem_recv(session, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    }
    isReading = false
    if violation == nil, taken == Int(NGHTTP2_ERR_FLOODED.rawValue) { violation = tooManyIdleFrames }
    if violation == nil, taken < 0 {
      violation = RPCError(.protocolError, "not HTTP/2: \(String(cString: nghttp2_strerror(Int32(taken))))")
    }
    if violation == nil { pump(into: &output) }
    if let violation {
      connection.refuse(violation)
      return .consumed(bytes.byteCount)
    }
    watchRequests()
    endIfOver()
    return .consumed(bytes.byteCount)
  }

  /// Puts all that may be sent now into `output`, and runs what waited for that.
  func pump(into output: inout ByteQueue) {
    repeat {
      withUnsafeMutablePointer(to: &output) { pointer in
        self.output = pointer
        while true {
          var data: UnsafePointer<UInt8>?
          let count = nghttp2_session_mem_send(session, &data)
          guard count > 0 else { break }
          pointer.pointee.append(
            RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: data, count: count)))
        }
        self.output = nil
      }
    } while runWaiting()
    if heldReplyBytes > 0 { connection.armTimer() }
    count()
  }

  /// Brings the connection's account up to date; small changes wait, so that small calls cost nothing.
  private func count() {
    let bytes = heldReplyBytes + bodyBytes
    guard abs(bytes - countedBytes) > GRPCStream.keptBytes || bytes == 0 && countedBytes > 0 else { return }
    socket.hold(bytes - countedBytes)
    countedBytes = bytes
  }

  /// Sends what an answer that came later has made ready.
  func flush() {
    guard !isReading, socket.isReceiving else { return }
    socket.send { pump(into: &$0) }
    endIfOver()
  }

  private func runWaiting() -> Bool {
    guard !waiting.isEmpty, heldReplyBytes <= GRPCLimits.heldReplyBytesMax else { return false }
    let stream = waiting.removeFirst()
    guard stream.isWaiting else { return !waiting.isEmpty }
    stream.isWaiting = false
    run(stream)
    return true
  }

  private func endIfOver() {
    if nghttp2_session_want_read(session) == 0, nghttp2_session_want_write(session) == 0 {
      return socket.closeAfterFlush()
    }
    if connection.isDraining, !holdsOpen { connection.afterAnswer() }
  }

  // MARK: Streams

  func stream(_ id: Int32) -> GRPCStream? {
    guard let pointer = nghttp2_session_get_stream_user_data(session, id) else { return nil }
    return Unmanaged<GRPCStream>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// A new stream, or nil where there are as many as there may be: one that was reset counts until its procedure ended.
  func open(_ id: Int32) -> GRPCStream? {
    guard openStreams + connection.workLeft < GRPCLimits.streamsMax else { return nil }
    openStreams += 1
    let stream: GRPCStream
    if let free = free.popLast() {
      stream = free
    } else {
      stream = GRPCStream()
      streams.append(stream)
    }
    stream.begin(id, at: host.loop.now)
    nghttp2_session_set_stream_user_data(session, id, Unmanaged.passUnretained(stream).toOpaque())
    return stream
  }

  /// HTTP/2 is done with a stream: answered, or reset by either side.
  func closed(_ stream: GRPCStream) {
    let id = stream.id
    openStreams -= 1
    released(stream.reply.count)
    bodyBytes -= stream.body.count
    // A call that is still in flight has lost its caller. Its sink finds another number here, or none.
    let call = connection.calls.isEmpty ? nil : connection.calls[UInt64(id)]
    if stream.isWaiting, let index = waiting.firstIndex(where: { $0 === stream }) {
      waiting.remove(at: index)
    }
    stream.builtin?.closed()
    if current?.toOpaque() == Unmanaged.passUnretained(stream).toOpaque() { current = nil }
    stream.end()
    free.append(stream)
    call?.end(
      RPCError(.cancelled, "cancelled by the caller", executed: .maybe), on: host.loop)
  }

  /// Runs a request once others' answers have left.
  func wait(_ stream: GRPCStream) {
    stream.isWaiting = true
    waiting.append(stream)
  }

  var isOverHeld: Bool { heldReplyBytes > GRPCLimits.heldReplyBytesMax }

  // MARK: Output

  /// An answer's bytes wait for the peer.
  func held(_ count: Int) {
    guard count > 0 else { return }
    if heldReplyBytes == 0 { lastProgress = host.loop.now }
    heldReplyBytes += count
  }

  func released(_ count: Int) {
    guard count > 0 else { return }
    heldReplyBytes -= count
    lastProgress = host.loop.now
  }

  /// Writes a DATA frame: its head, and so much of the answer.
  func sendData(_ stream: GRPCStream, _ head: UnsafePointer<UInt8>, _ count: Int) {
    guard let output else { return }
    output.pointee.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: head, count: 9)))
    if count > 0 {
      output.pointee.append(stream.reply.bytes.extracting(0..<count))
      stream.reply.consume(count)
      released(count)
    }
  }

  // MARK: Times

  private func watchRequests() {
    guard openStreams > 0 else { return incompleteSince = nil }
    guard incompleteSince == nil else { return }
    let now = host.loop.now
    guard streams.contains(where: { isIncomplete($0) }) else { return }
    incompleteSince = now
    connection.armTimer()
  }

  private func isIncomplete(_ stream: GRPCStream) -> Bool {
    stream.id != 0 && !stream.requestHasEnded && stream.builtin == nil
      && (!stream.isAnswered || stream.head.isOther)
  }

  private var stallsAt: UInt64? {
    heldReplyBytes > 0 ? lastProgress + UInt64(GRPCLimits.stallMilliseconds) * 1_000_000 : nil
  }

  private var incompleteAt: UInt64? {
    guard let incompleteSince, host.options.frameTimeoutMilliseconds > 0 else { return nil }
    return incompleteSince + UInt64(host.options.frameTimeoutMilliseconds) * 1_000_000
  }

  private var goodbyeAt: UInt64? {
    guard case .announced(let start) = goodbye else { return nil }
    return start + UInt64(GRPCLimits.goodbyeMilliseconds) * 1_000_000
  }

  var due: UInt64? {
    [stallsAt, incompleteAt, goodbyeAt].compactMap { $0 }.min()
  }

  func becameDue(at now: UInt64, into output: inout ByteQueue) -> RPCError? {
    if let stallsAt, stallsAt <= now {
      // What the socket does not take is the socket's to time out.
      guard socket.outputBytes == 0 else {
        lastProgress = now
        return nil
      }
      return RPCError(
        .resourceExhausted,
        "the caller has taken nothing of its answers for \(GRPCLimits.stallMilliseconds) ms",
        actual: heldReplyBytes, limit: GRPCLimits.heldReplyBytesMax, unit: .bytes)
    }
    if let incompleteAt, incompleteAt <= now { endIncomplete(at: now) }
    if let goodbyeAt, goodbyeAt <= now { sayGoodbye() }
    pump(into: &output)
    return nil
  }

  /// Refuses the requests that have taken too long to come.
  private func endIncomplete(at now: UInt64) {
    let limit = UInt64(host.options.frameTimeoutMilliseconds) * 1_000_000
    var oldest: UInt64?
    for stream in streams where isIncomplete(stream) {
      if stream.opened + limit <= now, stream.isAnswered {
        HTTP2Session.reset(session, stream.id, NGHTTP2_NO_ERROR)
      } else if stream.opened + limit <= now {
        fail(
          stream,
          RPCError(
            .deadlineExceeded,
            "a request took longer than the frame timeout of \(host.options.frameTimeoutMilliseconds) ms to arrive"
          ))
      } else {
        oldest = min(oldest ?? .max, stream.opened)
      }
    }
    incompleteSince = oldest
  }

  // MARK: What the server says by itself

  /// The peer ends its calls with its side.
  func inputEnded() -> EndOfInput { .closeNow }

  var holdsOpen: Bool {
    if case .announced = goodbye { return true }
    return openStreams > 0
  }

  func refuse(_ error: RPCError, into output: inout ByteQueue) {
    let code =
      switch error.exception {
      case .protocolError: NGHTTP2_PROTOCOL_ERROR
      case .resourceExhausted: NGHTTP2_ENHANCE_YOUR_CALM
      default: NGHTTP2_NO_ERROR
      }
    HTTP2Session.goAway(session, code, error.message)
    pump(into: &output)
  }

  func refuseRequests(with error: RPCError) -> Bool {
    refusal = error
    return true
  }

  func drain(into output: inout ByteQueue) {
    goodbye = .announced(at: host.loop.now)
    // Who watches health hears of it before the connection does.
    for stream in streams where stream.id != 0 { stream.builtin?.serverDrains() }
    pump(into: &output)
    nghttp2_submit_shutdown_notice(session)
    pump(into: &output)
    HTTP2Session.ping(session, HTTP2Session.goodbyePing)
    pump(into: &output)
    connection.armTimer()
  }

  /// No stream above the last that was taken is taken any more.
  func sayGoodbye() {
    guard case .announced = goodbye else { return }
    goodbye = .said
    HTTP2Session.goAway(session, NGHTTP2_NO_ERROR, "the server is shutting down")
  }

  func generationChanged(_ serial: Int, into output: inout ByteQueue) {
    for stream in streams where stream.id != 0 { stream.builtin?.generationChanged() }
    pump(into: &output)
  }

  func ping(into output: inout ByteQueue) -> Bool {
    HTTP2Session.ping(session, HTTP2Session.keepalivePing)
    pump(into: &output)
    return true
  }
}
