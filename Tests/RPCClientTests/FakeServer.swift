import Glibc
import RPCSystem
import RPCTransport
import RPCWire

/// A server that does exactly what its script says, on a real socket: each connection runs the script on a
/// thread of its own, with blocking reads of whole frames.
final class FakeServer: Sendable {
  typealias Script = @Sendable (_ peer: Peer) throws -> Void

  let port: UInt16
  private let listener: Int32
  private let threads = Lock<[Latch]>([])
  private let peers = Lock<[Int32]>([])
  private let isStopped = Lock(false)

  /// Listens on a free port of the loopback, or on `port`, and runs `script` for each connection.
  init(port: UInt16 = 0, _ script: @escaping Script) throws {
    guard let address = SocketAddress(ip: "127.0.0.1", port: Int(port)) else { throw Failure("no address") }
    listener = try Socket.listen(on: address, backlog: 64).release()
    _ = fcntl(listener, F_SETFL, 0)
    guard let bound = SocketAddress.local(of: listener) else { throw Failure("no local address") }
    self.port = UInt16(bound.port)
    let accepting = Latch()
    threads.withLock { $0.append(accepting) }
    try LoopThread.spawn(name: "fake-accept") { [self] in
      var number = 0
      while true {
        let raw = accept(listener, nil, nil)
        if raw < 0 { break }
        number += 1
        let done = Latch()
        threads.withLock { $0.append(done) }
        peers.withLock { $0.append(raw) }
        let peer = Peer(raw, number: number)
        try? LoopThread.spawn(name: "fake-peer") {
          // A script ends by returning or by a client that went away.
          try? script(peer)
          peer.close()
          done.signal()
        }
      }
      accepting.signal()
    }
  }

  /// Waits until the scripts of all connections so far have ended, and their connections with them.
  func waitForScripts() {
    for thread in threads.withLock({ $0.dropFirst() }) { thread.wait() }
  }

  /// Ends every connection and waits for the scripts.
  func stop() {
    let first = isStopped.withLock { stopped in
      defer { stopped = true }
      return !stopped
    }
    guard first else { return }
    shutdown(listener, Int32(SHUT_RDWR))
    threads.withLock { $0.first }?.wait()
    close(listener)
    for raw in peers.withLock({ $0 }) { shutdown(raw, Int32(SHUT_RDWR)) }
    for thread in threads.withLock({ $0 }) { thread.wait() }
    for raw in peers.withLock({ $0 }) { close(raw) }
  }

  deinit { stop() }

  struct Failure: Error {
    var message: String
    init(_ message: String) { self.message = message }
  }

  struct Frame {
    var header: FrameHeader
    var payload: [UInt8]
    var kind: FrameKind? { FrameKind(rawValue: header.kind) }
    var callID: UInt64 { header.callID }

    /// What a CALL carries.
    var call: (procedureID: UInt32, timeoutMicroseconds: UInt32, metadata: Value?, arguments: [Value]) {
      get throws {
        var reader = MessagePackReader(payload.span.bytes)
        let id = try reader.readFixed(UInt32.self)
        let timeout = try reader.readFixed(UInt32.self)
        let metadata: Value? =
          header.flags.contains(.metadata) ? try Value.decode(from: &reader) : Optional.none
        let arguments = try Value.decode(from: &reader).listValue ?? []
        try reader.finish()
        return (id, timeout, metadata, arguments)
      }
    }

    var bind: Bind { get throws { try Bind(payload: payload.span.bytes) } }
  }

  /// One connection, seen from the server.
  final class Peer: Sendable {
    /// 1 for the first connection that the server accepted.
    let number: Int
    private let raw: Int32
    private let isOpen = Lock(true)
    private let input = Lock<[UInt8]>([])

    init(_ raw: Int32, number: Int) {
      self.raw = raw
      self.number = number
    }

    var address: SocketAddress? { SocketAddress.peer(of: raw) }

    /// The preface and the HELLO of the client, answered with ours.
    @discardableResult
    func greet(_ change: (inout Hello) -> Void) throws -> Hello { try greet { hello, _ in change(&hello) } }

    /// - Parameter change: of our HELLO, from the client's.
    @discardableResult
    func greet(_ change: (inout Hello, Hello) -> Void = { _, _ in }) throws -> Hello {
      guard try read(8) == Preface.bytes else { throw Failure("no preface") }
      let frame = try readFrame()
      guard frame.kind == .hello else { throw Failure("no HELLO") }
      var hello = Hello(agent: "fake")
      hello.generation = 1
      let client = try Hello(payload: frame.payload.span.bytes)
      change(&hello, client)
      send { hello.encode(to: &$0) }
      return client
    }

    /// The next frame of one of these kinds; PINGs are answered on the way, BINDs too unless asked for.
    func next(_ kinds: FrameKind..., bindingIdempotent: Bool = false) throws -> Frame {
      while true {
        let frame = try readFrame()
        if let kind = frame.kind, kinds.contains(kind) { return frame }
        switch frame.kind {
        case .ping: send { $0.appendEmptyFrame(.pong, callID: frame.callID) }
        case .bind: try bound(frame, idempotent: bindingIdempotent)
        default: throw Failure("unexpected \(frame.header)")
        }
      }
    }

    func bound(_ frame: Frame, id: UInt32 = 7, returns: [ValueType] = [.any], idempotent: Bool = false) throws
    {
      let bind = try frame.bind
      send {
        Bound(procedureID: id, arguments: bind.arguments, returns: returns, idempotent: idempotent)
          .encode(to: &$0, callID: frame.callID)
      }
    }

    func reply(_ frame: Frame, _ values: Value..., andThen more: (inout ByteQueue) -> Void = { _ in }) {
      send { queue in
        let mark = queue.beginFrame(.reply, callID: frame.callID)
        Value.list(values).encode(to: &queue)
        queue.endFrame(mark)
        more(&queue)
      }
    }

    func fail(_ frame: Frame, _ error: RPCError) {
      send { error.encode(to: &$0, callID: frame.callID) }
    }

    /// Answers every call with what `answer` makes of its arguments, until the client goes away.
    func serve(idempotent: Bool = false, _ answer: ([Value]) throws -> Value) throws {
      while true {
        let frame = try next(.call, .cancel, bindingIdempotent: idempotent)
        if frame.kind == .call { reply(frame, try answer(frame.call.arguments)) }
      }
    }

    func send(_ body: (inout ByteQueue) -> Void) {
      var queue = ByteQueue()
      body(&queue)
      queue.withReadable { bytes in
        var sent = 0
        while sent < bytes.count {
          let count = Glibc.send(
            raw, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
          if count <= 0 { return }
          sent += count
        }
      }
    }

    func readFrame() throws -> Frame {
      let head = try read(FrameHeader.byteCount)
      guard let header = FrameHeader(head.span.bytes, at: 0) else { throw Failure("no header") }
      return Frame(header: header, payload: try read(Int(header.length)))
    }

    func read(_ count: Int) throws -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: count)
      var filled = 0
      while filled < count {
        let got = bytes.withUnsafeMutableBytes {
          recv(raw, $0.baseAddress.map { $0 + filled }, count - filled, 0)
        }
        guard got > 0 else { throw Failure("the client went away") }
        filled += got
      }
      return bytes
    }

    /// Waits until the client has closed its side.
    func waitForEnd() {
      while (try? read(1)) != nil {}
    }

    func close() {
      shutdown(raw, Int32(SHUT_RDWR))
    }

    /// Ends the connection as a crashed process does.
    func reset() {
      var value = linger(l_onoff: 1, l_linger: 0)
      setsockopt(raw, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
      let dead = open("/dev/null", O_RDONLY)
      // Replacing the descriptor closes the socket while the number stays ours.
      dup2(dead, raw)
      Glibc.close(dead)
    }
  }
}

extension RPCError {
  /// As the client passes it on: with the server's name.
  func from(_ server: String) -> RPCError {
    var error = self
    error.server = server
    return error
  }
}
