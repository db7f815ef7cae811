import Glibc
import RPCSystem
import RPCTransport
import RPCWire

/// A peer that sends whatever bytes a test wants and reads frames back: a plain blocking socket.
final class RawPeer {
  struct Frame {
    var header: FrameHeader
    var payload: [UInt8]
    var kind: FrameKind? { FrameKind(rawValue: header.kind) }

    /// The error of an ERROR frame.
    var error: RPCError? { kind == .error ? try? RPCError(payload: payload.span.bytes) : nil }
    /// The return values of a REPLY.
    var values: [Value]? { kind == .reply ? (try? Value(messagePack: payload))?.listValue : nil }
  }

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var nextCallID: UInt64 = 1

  /// Longer than anything here takes: a test that waits this long has failed.
  private static let timeoutMilliseconds: Int32 = 20_000

  init(port: Int) throws {
    guard let address = SocketAddress(ip: "127.0.0.1", port: port) else { preconditionFailure() }
    descriptor = try Socket.connect(to: address).release()
    var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    _ = poll(&writable, 1, Self.timeoutMilliseconds)
    if let code = Socket.pendingError(of: descriptor) { throw SystemError(code: code, operation: "connect") }
  }

  deinit { close(descriptor) }

  /// The port that it calls from.
  var localPort: UInt16? { SocketAddress.local(of: descriptor).flatMap { UInt16(exactly: $0.port) } }

  /// A peer that has introduced itself.
  static func greeted(port: Int) throws -> RawPeer {
    let peer = try RawPeer(port: port)
    peer.send(RawPeer.greeting)
    guard peer.next()?.kind == .hello else { throw WireError.malformedFrame("no HELLO came") }
    return peer
  }

  static var greeting: [UInt8] {
    var queue = ByteQueue()
    queue.append(Preface.bytes)
    Hello(agent: "test").encode(to: &queue)
    return queue.copy()
  }

  /// Sends everything, or as much as the server takes before it closes.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        offset += count
      } else {
        guard errno == EAGAIN else { return false }
        var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&writable, 1, Self.timeoutMilliseconds) > 0 else { return false }
      }
    }
    return true
  }

  func send(_ encode: (inout ByteQueue) -> Void) {
    var queue = ByteQueue()
    encode(&queue)
    send(queue.copy())
  }

  func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// The next frame, or nil when the server closed the connection (or the test's timeout passed).
  func next() -> Frame? {
    while true {
      if let header = FrameHeader(buffer.span.bytes, at: 0),
        buffer.count >= FrameHeader.byteCount + Int(header.length)
      {
        let end = FrameHeader.byteCount + Int(header.length)
        defer { buffer.removeFirst(end) }
        return Frame(header: header, payload: Array(buffer[FrameHeader.byteCount..<end]))
      }
      guard readMore() else { return nil }
    }
  }

  /// As `next`, without holding a thread of the concurrency pool meanwhile: for answers that come from tasks,
  /// which need one.
  func nextFromTask() async -> Frame? {
    nonisolated(unsafe) let peer = self
    return await withCheckedContinuation { continuation in
      do {
        try LoopThread.spawn(name: "peer") { continuation.resume(returning: peer.next()) }
      } catch {
        continuation.resume(returning: nil)
      }
    }
  }

  /// As `nextLine`, without holding a thread of the concurrency pool meanwhile.
  func nextLineFromTask() async -> String? {
    nonisolated(unsafe) let peer = self
    return await withCheckedContinuation { continuation in
      do {
        try LoopThread.spawn(name: "peer") { continuation.resume(returning: peer.nextLine()) }
      } catch {
        continuation.resume(returning: nil)
      }
    }
  }

  /// The next line without its end, or nil when the server closed the connection.
  func nextLine() -> String? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        defer { buffer.removeFirst(end + 1) }
        return String(decoding: buffer[..<end], as: UTF8.self)
      }
      guard readMore() else { return nil }
    }
  }

  /// What comes next, however much it is; nil where the server closed.
  func nextBytes() -> [UInt8]? {
    while buffer.isEmpty { guard readMore() else { return nil } }
    defer { buffer = [] }
    return buffer
  }

  /// The next bytes as text, or nil when the server closed the connection before all of them came.
  func bytes(_ count: Int) -> String? {
    while buffer.count < count { guard readMore() else { return nil } }
    defer { buffer.removeFirst(count) }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// Whether the server closed, with everything it said before thrown away.
  /// All bytes until the server's end.
  func everything() -> [UInt8] {
    while readMore() {}
    return buffer
  }

  func isClosed() -> Bool {
    while readMore() {}
    return ended
  }

  private(set) var ended = false

  /// Waits until something comes to one of several peers; returns those.
  static func firstReached(of peers: [RawPeer]) -> [RawPeer] {
    var readable = peers.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    _ = poll(&readable, nfds_t(readable.count), timeoutMilliseconds)
    return zip(peers, readable).filter { $0.1.revents != 0 }.map(\.0)
  }

  /// Whether nothing comes for so long.
  func hearsNothing(milliseconds: Int32) -> Bool {
    var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return buffer.isEmpty && poll(&readable, 1, milliseconds) == 0
  }

  private func readMore() -> Bool {
    var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard !ended, poll(&readable, 1, Self.timeoutMilliseconds) > 0 else { return false }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0, errno == EAGAIN { return true }
    guard count > 0 else {
      ended = true
      return false
    }
    buffer.append(contentsOf: chunk[..<count])
    return true
  }

  // MARK: Calls

  /// Binds a procedure; returns its id.
  func bind(_ service: String, _ procedure: String, _ types: [ValueType]) throws -> UInt32 {
    let id = takeCallID()
    send { Bind(service: service, procedure: procedure, arguments: types).encode(to: &$0, callID: id) }
    guard let frame = next() else { throw WireError.truncated }
    if let error = frame.error { throw error }
    return try Bound(payload: frame.payload.span.bytes).procedureID
  }

  func takeCallID() -> UInt64 {
    defer { nextCallID += 1 }
    return nextCallID
  }

  static func call(
    _ procedure: UInt32, _ arguments: [Value], callID: UInt64, timeoutMicroseconds: UInt32 = 0
  ) -> [UInt8] {
    var queue = ByteQueue()
    let mark = CallFrame.begin(
      in: &queue, callID: callID, procedureID: procedure, timeoutMicroseconds: timeoutMicroseconds)
    Value.list(arguments).encode(to: &queue)
    queue.endFrame(mark)
    return queue.copy()
  }

  @discardableResult
  func startCall(_ procedure: UInt32, _ arguments: [Value], timeoutMicroseconds: UInt32 = 0) -> UInt64 {
    let id = takeCallID()
    send(Self.call(procedure, arguments, callID: id, timeoutMicroseconds: timeoutMicroseconds))
    return id
  }
}
