import Glibc
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire

/// A whole server: every connection's first bytes, both dialects, each state.
enum SessionTarget {
  /// Made once, for all inputs.
  private static let shared = Lock<Result<Probe, SystemError>?>(nil)

  /// Whatever a peer sends, in two pieces, it is answered in its own dialect and by whole frames or lines, nothing
  /// follows an error of the whole connection, the connection ends when the peer does, and a neighbour is
  /// served all the while.
  static func session(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let sent = Array(bytes.dropFirst())
    let result = shared.withLock { shared -> Result<[UInt8], BrokenPromise> in
      let made = shared ?? Probe.make()
      shared = made
      return Result { () throws(BrokenPromise) in
        switch made {
        case .failure(let error): throw BrokenPromise("no server: \(error)")
        case .success(let probe): return try probe.answers(to: sent, cut: min(Int(first), sent.count))
        }
      }
    }
    let answers = try result.get()
    if sent.starts(with: Preface.bytes) {
      try areFrames(answers)
    } else if sent.starts(with: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) {
      try areHTTP2(answers)
    } else if answers.starts(with: "HTTP/1.1 ".utf8) {
      try HTTPAnswers.check(answers, to: sent)
    } else {
      try areLines(answers)
    }
  }

  /// As `session`, of what comes behind HTTP/2's preface. With an even first byte that is frames as they are; with an odd
  /// one it is the block of a request's header fields, in two
  /// frames, and a request whose fields both tables have behind it.
  static func http2(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let script = Array(bytes.dropFirst())
    var sent: [UInt8] = [first] + Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])
    if first % 2 == 0 {
      sent += script
    } else {
      let half = script.count / 2
      sent += frame(1, 1, 1, Array(script[..<half])) + frame(9, 4, 1, Array(script[half...]))
      sent += frame(1, 5, 3, [0x82, 0x84, 0x86])
    }
    try session(sent)
  }

  private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let count = payload.count
    return [
      UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags, 0, 0, 0, stream,
    ]
      + payload
  }

  /// Whole frames, SETTINGS first, nothing behind the last words.
  private static func areHTTP2(_ answers: [UInt8]) throws(BrokenPromise) {
    var offset = 0
    while offset < answers.count {
      guard answers.count - offset >= 9 else { throw BrokenPromise("half a frame's head") }
      let length = answers[offset..<offset + 3].reduce(0) { $0 << 8 | Int($1) }
      if offset == 0 { try promise(answers[3] == 4, "the first frame is not SETTINGS") }
      offset += 9 + length
      try promise(offset <= answers.count, "half a frame")
    }
  }

  private static func areFrames(_ answers: [UInt8]) throws(BrokenPromise) {
    var offset = 0
    var isOver = false
    while offset < answers.count {
      try promise(!isOver, "something follows the error of the whole connection")
      guard let header = FrameHeader(answers.span.bytes, at: offset) else {
        throw BrokenPromise("half a header")
      }
      let start = offset + FrameHeader.byteCount
      offset = start + Int(header.length)
      try promise(offset <= answers.count, "half a frame")
      let payload = answers.span.bytes.extracting(start..<offset)
      switch FrameKind(rawValue: header.kind) {
      case .hello: try promise((try? Hello(payload: payload)) != nil, "a HELLO that is none")
      case .bound: try promise((try? Bound(payload: payload)) != nil, "a BOUND that is none")
      case .reply:
        try promise(
          (try? Value.list(messagePack: Array(answers[start..<offset]))) != nil, "a REPLY that is none")
      case .error:
        guard let error = try? RPCError(payload: payload) else {
          throw BrokenPromise("an ERROR that is none")
        }
        try promise(header.status == error.code.rawValue, "the status of an ERROR is not its exception's")
        isOver = header.callID == 0
      case .pong: try promise(header.length == 0, "a PONG with a payload")
      default: throw BrokenPromise("a frame of kind \(header.kind)")
      }
    }
  }

  private static func areLines(_ answers: [UInt8]) throws(BrokenPromise) {
    for line in answers.split(separator: UInt8(ascii: "\n")) {
      let header = (try? Value(json: Array(line)))?["header"]
      try promise(
        header == "RPC-RES" || header == "RPC-EX", "no answer: \(String(decoding: line, as: UTF8.self))")
    }
    try promise(answers.isEmpty || answers.last == UInt8(ascii: "\n"), "half a line")
  }
}

/// A server with a neighbour, a well-behaved connection.
private final class Probe: Sendable {
  private let server: Server
  private let address: SocketAddress
  private let neighbour: Int32
  private static let timeoutMilliseconds: Int32 = 8000

  static func make() -> Result<Probe, SystemError> {
    do {
      return .success(try Probe())
    } catch {
      return .failure(error as? SystemError ?? SystemError(code: EINVAL, operation: "\(error)"))
    }
  }

  private init() throws {
    signal(SIGPIPE, SIG_IGN)
    var options = ServerOptions()
    options.loops = 1
    options.frameBytes = 64 * 1024
    server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure("m.add") { (a: Int, b: Int) in a &+ b },
        NativeProcedure("m.add") { (a: String, b: [Double]) in "\(a)\(b)" },
        NativeProcedure("m.echo") { (value: Value) in value },
        NativeProcedure(suspending: "m.later") { (value: [String: Bytes?]) async in value },
      ], options: options)
    try server.start()
    address = server.localAddress
    neighbour = try Socket.connect(to: address).release()
    var greeting = ByteQueue()
    greeting.append(Preface.bytes)
    Hello(agent: "neighbour").encode(to: &greeting)
    _ = Self.write(neighbour, greeting.copy()[...])
    _ = Self.read(neighbour)
  }

  /// Whether the descriptor becomes ready in time. The fuzzer's own alarm interrupts this every few seconds.
  private static func isReady(_ descriptor: Int32, for events: Int32) -> Bool {
    var watched = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    while true {
      let count = poll(&watched, 1, timeoutMilliseconds)
      if count >= 0 || errno != EINTR { return count > 0 }
    }
  }

  /// Nil where the server neither answers nor ends.
  private static func read(_ descriptor: Int32) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      guard isReady(descriptor, for: POLLIN) else { return nil }
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EAGAIN || errno == EINTR { continue }
      return count <= 0 ? [] : Array(buffer[..<count])
    }
  }

  /// False where the server does not take it, since it has ended the connection.
  private static func write(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      guard isReady(descriptor, for: POLLOUT) else { return false }
      let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EAGAIN { return false }
    }
    return true
  }

  func answers(to bytes: [UInt8], cut: Int) throws(BrokenPromise) -> [UInt8] {
    let descriptor: Int32
    do {
      descriptor = try Socket.connect(to: address).release()
    } catch {
      throw BrokenPromise("\(error)")
    }
    defer { close(descriptor) }
    // No TIME-WAIT: thousands of connections a second would use up the ports.
    var abort = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &abort, socklen_t(MemoryLayout<linger>.size))
    if Self.write(descriptor, bytes[..<cut]) { _ = Self.write(descriptor, bytes[cut...]) }
    shutdown(descriptor, Int32(SHUT_WR))
    var answers: [UInt8] = []
    while true {
      guard let more = Self.read(descriptor) else {
        throw BrokenPromise("the server does not end the connection")
      }
      if more.isEmpty { break }
      answers += more
    }
    try isServed()
    return answers
  }

  private func isServed() throws(BrokenPromise) {
    var ping = ByteQueue()
    ping.appendEmptyFrame(.ping, callID: 7)
    _ = Self.write(neighbour, ping.copy()[...])
    guard let answer = Self.read(neighbour), answer.count == FrameHeader.byteCount,
      answer[4] == FrameKind.pong.rawValue
    else { throw BrokenPromise("the neighbour is not served") }
  }
}
