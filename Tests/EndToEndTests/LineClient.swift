import CLinux
import Foundation
import RPCWire

/// A connection that speaks the json dialect, or anything else: blocking, with plain system calls and nothing
/// of ours below it.
///
/// `@unchecked Sendable`: a test uses it from one thread, but for `abort`, a single system call.
final class LineClient: @unchecked Sendable {
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  /// - Parameters:
  ///   - host: an IPv4 address.
  ///   - sourcePort: a port to call from, as a registered client does.
  init(
    host: String = "127.0.0.1", port: Int, sourcePort: Int? = nil,
    seconds: Int = Int(ChildProcess.timeoutSeconds)
  ) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var timeout = timeval(tv_sec: seconds, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
    if let sourcePort {
      var on: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
      // Closed by a reset, so that the next one can call from the same port at once.
      var lingering = linger(l_onoff: 1, l_linger: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &lingering, socklen_t(MemoryLayout<linger>.size))
      guard Self.withAddress(sourcePort, { bind(descriptor, $0, $1) }) == 0 else {
        throw Self.failure("bind to \(sourcePort)")
      }
    }
    guard Self.withAddress(port, of: host, { connect(descriptor, $0, $1) }) == 0 else {
      throw Self.failure("connect to \(host):\(port)")
    }
  }

  deinit { close(descriptor) }

  /// Connects as soon as somebody listens there: for programs that do not say when.
  static func whenListening(port: Int) throws -> LineClient {
    let end = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    while true {
      do {
        return try LineClient(port: port)
      } catch {
        guard Date() < end else { throw error }
        usleep(10_000)
      }
    }
  }

  private static func withAddress(
    _ port: Int, of host: String = "127.0.0.1", _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr(host)
    return withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func failure(_ what: String) -> Failure {
    Failure("\(what): \(String(cString: strerror(errno)))")
  }

  // MARK: Bytes

  func send(_ bytes: some Collection<UInt8>) throws {
    var left = Array(bytes)[...]
    while !left.isEmpty {
      let count = left.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, ChildProcess.noSignal)
      }
      guard count > 0 else { throw Self.failure("send") }
      left = left.dropFirst(count)
    }
  }

  func send(line: String) throws { try send((line + "\n").utf8) }

  /// No more will come from here; answers still can.
  func endInput() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends both directions at once; a thread that waits in here goes on.
  func abort() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  /// The next line, nil at the end of the connection.
  func receiveLine() throws -> String? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeFirst(end + 1)
        return line
      }
      guard try receiveMore() else {
        guard buffer.isEmpty else { throw Failure("the connection ended within a line") }
        return nil
      }
    }
  }

  /// All that comes until the connection ends.
  func receiveToEnd() throws -> [UInt8] {
    while try receiveMore() {}
    defer { buffer = [] }
    return buffer
  }

  /// All that has come and was not taken, without waiting for more.
  func receiveWhatIsThere() -> [UInt8] {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
      guard count > 0 else { return buffer }
      buffer += chunk[..<count]
    }
  }

  private func receiveMore() throws -> Bool {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &chunk, chunk.count, 0)
    if count > 0 { buffer += chunk[..<count] }
    if count < 0, errno != ECONNRESET { throw Self.failure("receive") }
    return count > 0
  }

  // MARK: Calls

  /// What a request was answered with.
  enum Answer: Equatable, CustomStringConvertible {
    case values(Value)
    case exception(String, String)

    /// The values as a json list, to compare with at a glance.
    var description: String {
      switch self {
      case .values(let value): "\(value)"
      case .exception(let type, let message): "\(type): \(message)"
      }
    }

    var exceptionType: String? {
      if case .exception(let type, _) = self { type } else { nil }
    }

    var exceptionMessage: String? {
      if case .exception(_, let message) = self { message } else { nil }
    }
  }

  /// Calls a procedure as the json dialect has it. `arguments` is a json list as text.
  func call(_ procedure: String, _ arguments: String = "[]", more: String = "") throws -> Answer {
    try send(line: Self.request(procedure, arguments, more: more))
    return try receiveAnswer()
  }

  /// The map that `system.stats` answers.
  func stats() throws -> Value {
    let answer = try call("system.stats")
    guard case .values(let values) = answer, let map = values.listValue?.first else {
      throw Failure("no stats: \(answer)")
    }
    return map
  }

  static func request(_ procedure: String, _ arguments: String, more: String = "") -> String {
    let parts = procedure.split(separator: ".", maxSplits: 1)
    return """
      {"header":"RPC-REQ","value":{"service":"\(parts.first ?? "")","rpc":"\(parts.last ?? "")",\
      "arguments":\(arguments)\(more)}}
      """
  }

  func receiveAnswer() throws -> Answer {
    guard let line = try receiveLine() else { throw Failure("the connection ended instead of an answer") }
    return try Self.answer(line)
  }

  static func answer(_ line: String) throws -> Answer {
    let bytes = Array(line.utf8)
    var reader = JSONReader(bytes.span.bytes)
    let object = try reader.readValue()
    try reader.finish()
    switch object["header"]?.stringValue {
    case "RPC-RES":
      guard let values = object["value"]?["return-values"] else { throw Failure("no return values: \(line)") }
      return .values(values)
    case "RPC-EX":
      guard let type = object["value"]?["exception-type"]?.stringValue,
        let message = object["value"]?["exception-message"]?.stringValue
      else { throw Failure("no exception in \(line)") }
      return .exception(type, message)
    default: throw Failure("neither result nor exception: \(line)")
    }
  }
}
