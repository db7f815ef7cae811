import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("Programs that are started without standard input, output or error")
struct ClosedDescriptorTests {
  static let closings = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]

  /// Starts a program through a shell that closes some of its descriptors first.
  private static func start(_ program: String, _ arguments: [String], _ closing: String) throws
    -> ChildProcess
  {
    try ChildProcess("/bin/sh", ["-c", "exec \"$@\" \(closing)", "sh", program] + arguments)
  }

  /// Waits until the program runs and each descriptor that was closed is /dev/null.
  private static func expectNull(_ process: ChildProcess, _ name: String, _ closing: String) throws {
    let closed = zip(0...2, ["<&-", " >&-", "2>&-"]).filter { (" " + closing).contains($0.1) }.map(\.0)
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    var targets: [String?] = []
    repeat {
      try #require(process.isRunning, "\(name) ended: \(process.errorText)")
      let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/exe")
      guard program?.hasSuffix(name) == true else { continue }
      targets = closed.map {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/fd/\($0)")
      }
      if targets.allSatisfy({ $0 == "/dev/null" }) { return }
    } while Date() < deadline
    Issue.record("\(name) \(closing): descriptors \(closed) are \(targets)")
  }

  @Test("a server serves, and takes no connection for its standard streams", arguments: closings)
  func server(closing: String) throws {
    let data = TemporaryDirectory()
    let port = try FreePort.take()
    let server = try Self.start(Programs.server, ["127.0.0.1", "\(port)", "--data", data.path], closing)
    defer { server.killAtOnce() }
    try Self.expectNull(server, "rpc-server", closing)
    #expect(try LineClient.whenListening(port: port).call("system.ping") == .values(["pong"]))
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }

  @Test("a program that waits for a file has /dev/null in their place", arguments: closings)
  func waiting(closing: String) throws {
    let folder = TemporaryDirectory()
    let fifo = "\(folder.path)/fifo"
    #expect(mkfifo(fifo, 0o600) == 0)
    for (program, name, arguments) in [
      (Programs.shell, "rpc-client", ["-X", "--config", fifo, "-c", "servers"]),
      (Programs.initializer, "initializer", [fifo]),
    ] {
      let process = try Self.start(program, arguments, closing)
      defer { process.killAtOnce() }
      try Self.expectNull(process, name, closing)
    }
  }

  @Test("a load generator has /dev/null in their place", arguments: closings)
  func bench(closing: String) throws {
    let network = try Network()
    let bench = try Self.start(
      "\(Programs.directory)/rpc-bench",
      ["127.0.0.1", "\(network.port("s1"))", "system.ping", "--duration", "600"], closing)
    defer { bench.killAtOnce() }
    try Self.expectNull(bench, "rpc-bench", closing)
  }

  @Test("a shell without input ends at once")
  func shellWithoutInput() throws {
    let network = try Network()
    try network.describe("")
    let shell = try Self.start(Programs.shell, ["-X", "--config", network.file], "<&-")
    defer { shell.killAtOnce() }
    #expect(try shell.waitForEnd() == .code(0))
  }
}
