import Glibc
import RPCProcedures
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport

@testable import RPCShell

/// A real server in this process, with an init.yaml that names it and one that is not there.
final class LiveNetwork: Sendable {
  let server: Server
  let folder: TemporaryDirectory
  let calls = Counter()

  var config: String { folder.path + "/init.yaml" }

  init() throws {
    folder = TemporaryDirectory()
    var options = ServerOptions()
    options.loops = 1
    let calls = calls
    server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure("text.concat") { (a: Int, b: String) in "\(a)\(b)" },
        NativeProcedure("text.concat") { (a: Int, b: Int) in a + b },
        NativeProcedure("text.upper") { (text: String) in text.uppercased() },
        NativeProcedure("text.lines") { (count: Int) in (1...max(1, count)).map { "line \($0)" } },
        NativeProcedure("text.rows") { (count: Int) -> Value in
          .list((0..<count).map { ["number": .int(Int64($0)), "text": .string("item \($0)")] })
        },
        NativeProcedure("text.fail") { (text: String) throws -> String in
          throw RPCError(.executionException, text, executed: .yes)
        },
        NativeProcedure(suspending: "text.wait") { (milliseconds: Int) async throws -> Int in
          calls.started()
          do {
            try await Task.sleep(for: .milliseconds(milliseconds))
          } catch {
            calls.cancelled()
            throw error
          }
          return milliseconds
        },
        NativeProcedure("math.add") { (a: Int, b: Int) in a + b },
      ], options: options)
    try server.start()
    try folder.write(
      """
      network:
        servers:
          - s1: {ip: 127.0.0.1, port: \(server.port)}
          - gone: {ip: 127.0.0.1, port: \(try Self.freePort())}
        clients:
          - me: {ip: 127.0.0.1}
      service:
        - text: {providers: [s1], tenants: [me], rpcs: [concat, upper]}
        - math: {providers: [s1], tenants: [me], rpcs: [add]}
      rpc:
        text:
          - concat: {args: [a: int, b: str], returns: [str], src: text.py}
          - upper: {args: [text: str], returns: [str], src: text.py}
        math:
          - add: {args: [int, int], returns: [int], src: math.py}
      """, to: "init.yaml")
  }

  deinit { server.stopNow() }

  /// A port that nobody listens on.
  static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw SystemError.last("socket") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(descriptor, pointer, size) == 0 ? getsockname(descriptor, pointer, &size) : -1
      }
    }
    guard code == 0 else { throw SystemError.last("bind") }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  final class Counter: Sendable {
    private let state = Lock((started: 0, cancelled: 0))
    func started() { state.withLock { $0.started += 1 } }
    func cancelled() { state.withLock { $0.cancelled += 1 } }
    var counts: (started: Int, cancelled: Int) { state.withLock { $0 } }

    func wait(seconds: Int = 20, until isThere: ((started: Int, cancelled: Int)) -> Bool) async -> Bool {
      let end = ContinuousClock.now + .seconds(seconds)
      while !isThere(counts) {
        if ContinuousClock.now > end { return false }
        await Task.yield()
      }
      return true
    }
  }

  /// The shell on a terminal.
  func terminal(
    _ arguments: [String] = [], columns: Int = 80, rows: Int = 24, environment: [String: String?] = [:]
  ) throws -> TerminalSession {
    try TerminalSession(
      [try Built.program("rpc-client"), "--config", config] + arguments, columns: columns, rows: rows,
      environment: ["XDG_CONFIG_HOME": folder.path].merging(environment) { $1 })
  }

  struct Result: Equatable {
    var out: String
    var err: String
    var status: Int32
  }

  /// Runs the program with standard input from a file or a pipe, and waits.
  func run(_ arguments: [String], input: String? = nil, config: String? = nil) throws -> Result {
    let name = "run-\(UInt64.random(in: 0 ..< .max))"
    if let input { try folder.write(input, to: name + ".in") }
    let quoted = [try Built.program("rpc-client"), "--config", config ?? self.config] + arguments
    let command =
      quoted.map { "'" + $0.replacing("'", with: "'\\''") + "'" }.joined(separator: " ")
      + " < '\(input == nil ? "/dev/null" : folder.path + "/" + name + ".in")' > '\(folder.path)/\(name).out' 2> '\(folder.path)/\(name).err'"
    // Never the key of the user who runs the tests.
    let status = try ChildProcess.start(
      ["/usr/bin/env", "XDG_CONFIG_HOME=\(folder.path)", "/bin/sh", "-c", command]
    ).wait()
    return Result(out: try folder.read(name + ".out"), err: try folder.read(name + ".err"), status: status)
  }
}
