internal import Glibc
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// The json dialect: one object a line. A request without an `id` is answered before the next line is
/// looked at, so that its answer is the next one; those with an `id` run side by side. All answers leave by
/// way of `Connection.send`, which keeps their order whether they came at once or later.
internal final class JSONLinesDialect: Dialect {
  static let name = "json"

  // The connection lets go of its dialect when it is closed, so this holds nothing for ever.
  let connection: ServerConnection
  let socket: Connection
  let host: ServerLoop
  let core: CallCore
  private let caller: Caller
  /// The number under which the next call is kept: a line's id may be anything.
  private var nextCallID: UInt64 = 1
  /// Whether the call that was begun last has an id: no other is in flight beside one that has none.
  private var lastHasID = true
  /// How far the line is that is next, where it is long.
  var long = LongLine.unread
  /// Bytes of an unfinished line that are known to hold no line end.
  private var bytesSearched = 0
  /// How much came of a line that was refused before its end, and is passed over as it comes; nil where there is none.
  private var bytesPassed: Int?

  init(on connection: ServerConnection) {
    self.connection = connection
    socket = connection.socket
    host = connection.host
    core = connection.host.calls
    caller = connection.caller
  }

  static func recognise(_ first: RawSpan, alpn: String?) -> Recognition {
    guard alpn == nil else { return .no }
    switch unsafe first.unsafeLoad(fromByteOffset: 0, as: UInt8.self) {
    case UInt8(ascii: "{"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
      return .yes
    default: return .no
    }
  }

  // MARK: Input

  func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    guard var offset = passRefused(bytes) else { return .consumed(bytes.byteCount) }
    // What was looked through before is not looked through again with every piece of a long line that comes.
    var searched = bytesSearched
    bytesSearched = 0
    while offset < bytes.byteCount {
      if socket.outputBytes > socket.limits.outputHighWater { return .consumed(offset) }
      let next: Int
      let end: Int
      if let found = Self.lineEnd(in: bytes, from: max(offset, searched)) {
        end = found
        next = found + 1
      } else {
        // The last line needs no line end: nothing can follow it.
        end = bytes.byteCount
        next = end
      }
      guard isShort(end - offset) else { return .consumed(bytes.byteCount) }
      if end == next, !socket.inputHasEnded {
        bytesSearched = end - offset
        return .consumed(offset, wanted: end - offset + 1)
      }
      searched = 0
      let line = bytes.extracting(offset..<end)
      if !Self.isBlank(line) {
        guard line.byteCount > BoundProcedure.spotBytes ? handleLong(line) : handle(line) else {
          guard socket.isReceiving else { return .consumed(bytes.byteCount) }
          socket.pauseReading()
          return .consumed(offset)
        }
      }
      offset = next
      if !socket.isReceiving { return .consumed(bytes.byteCount) }
    }
    return .consumed(offset)
  }

  /// Passes over the rest of a line that was refused. Returns where the next one begins, or nil where that has not come.
  private func passRefused(_ bytes: RawSpan) -> Int? {
    guard let passed = bytesPassed else { return 0 }
    let end = Self.lineEnd(in: bytes, from: 0)
    let all = passed + (end ?? bytes.byteCount)
    bytesPassed = end == nil ? all : nil
    return isShort(all) ? end.map { $0 + 1 } : nil
  }

  /// Whether a line of so many bytes is one; else the connection ends.
  private func isShort(_ count: Int) -> Bool {
    let limit = host.options.jsonBytes
    if count <= limit { return true }
    connection.refuse(
      RPCError(
        .resourceExhausted, "a line is longer than the limit of \(limit) bytes", actual: count,
        limit: limit, unit: .bytes))
    return false
  }

  /// Starts one request, or returns false when it has to wait for those before it.
  private func handle(_ line: RawSpan) -> Bool {
    let request: JSONDialect.Request
    do {
      request = try JSONDialect.request(from: line)
    } catch {
      guard isTurn(of: error.id) else { return false }
      refuseCall(error.error, id: error.id)
      return true
    }
    guard isTurn(of: request.id) else { return false }
    do {
      let overloads = try authorise(request)
      let call = try Self.resolve(request, request.arguments(in: line), overloads, in: host.catalogue)
      try start(request, call)
    } catch {
      refuseCall(error, id: request.id)
    }
    return true
  }

  /// Whether a line may be answered now: one without an id only where no other answer is to come, and none before that.
  func isTurn(of id: JSONDialect.ID?) -> Bool { connection.isIdle || id != nil && lastHasID }

  /// Finds what a request asks for: who may call is known before a byte of the arguments is decoded.
  func authorise(_ request: JSONDialect.Request) throws(RPCError) -> [BoundProcedure] {
    if connection.isDraining { throw CallCore.draining }
    if let client = request.client, caller.claimed.map({ !$0.hasSameUTF8(as: client) }) ?? true {
      try caller.claim(client, in: host.catalogue, willProve: false)
      connection.renewAccess()
    }
    return try core.overloads(service: request.service, procedure: request.rpc, for: connection)
  }

  /// Begins what a request asks for.
  ///
  /// - Parameter received: when its line came, where that was before this turn of the loop.
  func start(
    _ request: JSONDialect.Request, _ call: ResolvedCall, received: UInt64? = nil
  ) throws(RPCError) {
    let callID = nextCallID
    nextCallID += 1
    lastHasID = request.id != nil
    try core.start(
      callID, call.procedure, call.arguments,
      timeoutNanoseconds: (request.timeoutMicroseconds ?? 0) * 1000, received: received, on: connection,
      sink: JSONReplySink(connection, id: request.id))
  }

  func refuseCall(_ error: RPCError, id: JSONDialect.ID?) {
    core.failed(nil, error, by: caller)
    socket.send { JSONDialect.appendException(error, id: id, to: &$0) }
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

  // MARK: What the server says by itself

  func refuse(_ error: RPCError, into output: inout ByteQueue) {
    JSONDialect.appendException(error, id: nil, to: &output)
  }

  func refuse(unfinished bytes: RawSpan, _ error: RPCError) -> Bool {
    guard Self.lineEnd(in: bytes, from: 0) == nil else { return false }
    let id = JSONDialect.id(ofUnfinished: bytes)
    guard isTurn(of: id) else { return false }
    bytesSearched = 0
    bytesPassed = bytes.byteCount
    refuseCall(error, id: id)
    return true
  }

  /// A client that pipes lines in and closes that side still reads the answers.
  func inputEnded() -> EndOfInput { .closeAfterCalls }
}
