import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("rpc-server under a service manager")
struct ServiceManagerTests {
  /// A server as systemd starts it: with directories, a place for messages, and the sockets that were kept.
  private func start(
    _ manager: StandInServiceManager, port: Int, in directory: TemporaryDirectory, kept: Int32? = nil,
    options: [String] = []
  ) throws -> ChildProcess {
    let given =
      kept.map { "exec 3<&\($0); export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=listener; " } ?? ""
    return try ChildProcess(
      "bash", ["-c", "\(given)exec \"$0\" \"$@\"", Programs.server, "127.0.0.1", "\(port)"] + options,
      environment: [
        "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000", "HOME": nil,
        "STATE_DIRECTORY": directory.file("state"), "CONFIGURATION_DIRECTORY": directory.file("etc"),
      ])
  }

  /// The directories, with the key of this test's user among those that may deploy.
  private func directories() throws -> TemporaryDirectory {
    let directory = TemporaryDirectory()
    let key = try run(Programs.initializer, ["key"])
    let lines = key.output.split(separator: "\n")
    try directory.write("\(lines[1])\n", to: "etc/deployers")
    return directory
  }

  @Test(
    "it says when it serves, that it is alive, what it serves, and that it ends; its data is where it was told"
  )
  func tells() throws {
    let manager = try StandInServiceManager()
    let directory = try directories()
    let port = try FreePort.take()
    let server = try start(manager, port: port, in: directory)
    defer { server.killAtOnce() }
    for descriptor in try manager.receive("FDSTORE=1").descriptors { close(descriptor) }
    #expect(try manager.receive("READY=1").value("STATUS") == "nothing deployed yet")
    try manager.receive("WATCHDOG=1")
    try manager.receive("WATCHDOG=1")

    try directory.write("def f(): return 1\n", to: "f.py")
    try directory.write(
      """
      network: {servers: [s1: {ip: 127.0.0.1, port: \(port)}], clients: [me: {ip: 127.0.0.1}]}
      service: [test: {providers: [s1], tenants: [me], rpcs: [f]}]
      rpc: {test: [f: {args: [], returns: [int], src: f.py}]}
      """, to: "init.yaml")
    #expect(try run(Programs.initializer, [directory.file("init.yaml")]).ending == .code(0))
    try manager.receive("STATUS=generation 1, 1 procedure as 's1'")
    #expect(directory.exists("state/current"))

    server.signal(SIGHUP)
    #expect(try manager.receive("RELOADING=1").value("MONOTONIC_USEC") != nil)
    #expect(try manager.receive("READY=1").value("STATUS") == "generation 1, 1 procedure as 's1'")
    server.signal(SIGTERM)
    try manager.receive("STOPPING=1")
    #expect(try server.waitForEnd() == .code(0))
  }

  @Test(
    "started again on the socket that was kept, it serves who connected in between, and what was deployed")
  func startedAgain() throws {
    let manager = try StandInServiceManager()
    let directory = try directories()
    let port = try FreePort.take()
    let first = try start(manager, port: port, in: directory)
    let kept = try #require(try manager.receive("FDSTORE=1").descriptors.first)
    defer { close(kept) }
    try manager.receive("READY=1")
    let idle = try LineClient(port: port)
    #expect(try idle.call("system.ping") == .values(["pong"]))
    first.signal(SIGTERM)
    #expect(try first.waitForEnd() == .code(0))
    #expect(try idle.receiveLine() == nil)

    // Nobody serves, and nobody is refused.
    let early = try (0..<20).map { _ in try LineClient(port: port) }
    for client in early { try client.send(line: LineClient.request("system.ping", "[]")) }
    _ = fcntl(kept, F_SETFD, 0)
    let second = try start(manager, port: port, in: directory, kept: kept)
    defer { second.killAtOnce() }
    for client in early { #expect(try client.receiveAnswer() == .values(["pong"])) }
    try manager.receive("READY=1")
    let fresh = try LineClient(port: port)
    #expect(try fresh.call("system.ping") == .values(["pong"]))
    second.signal(SIGTERM)
    #expect(try second.waitForEnd() == .code(0))
    // It was kept already.
    #expect(try manager.takeAll().allSatisfy { !$0.lines.contains("FDSTORE=1") })
  }

  @Test("a process of the service that is not the one the descriptors are for leaves them alone")
  func otherProcess() throws {
    let manager = try StandInServiceManager()
    let directory = try directories()
    let port = try FreePort.take()
    let server = try ChildProcess(
      "bash",
      [
        "-c", "exec 3</dev/null; export LISTEN_PID=1 LISTEN_FDS=1; exec \"$0\" \"$@\"", Programs.server,
        "127.0.0.1",
        "\(port)",
      ],
      environment: ["NOTIFY_SOCKET": manager.address, "STATE_DIRECTORY": directory.file("state")])
    defer { server.killAtOnce() }
    for descriptor in try manager.receive("FDSTORE=1").descriptors { close(descriptor) }
    try manager.receive("READY=1")
    #expect(try LineClient(port: port).call("system.ping") == .values(["pong"]))
  }

  @Test("why it cannot start is what the manager shows")
  func cannotStart() throws {
    let manager = try StandInServiceManager()
    let directory = try directories()
    try directory.write("format 99\nrelease 9.0.0\n", to: "state/format")
    let server = try start(manager, port: try FreePort.take(), in: directory)
    #expect(try server.waitForEnd() == .code(3))
    let status = try #require(try manager.receive().value("STATUS"))
    #expect(status.contains("release 9.0.0 wrote it in format 99"), "\(status)")
    #expect(server.errorText.contains("release 9.0.0"), "\(server.errorText)")
  }

  @Test("a service without keys of deployers serves, and warns that nobody may deploy")
  func nobodyMayDeploy() throws {
    let manager = try StandInServiceManager()
    let directory = TemporaryDirectory()
    try directory.write("# none yet\n", to: "etc/deployers")
    let server = try start(manager, port: try FreePort.take(), in: directory)
    defer { server.killAtOnce() }
    try server.waitFor(.errors, "the warning", seconds: 20) {
      $0.contains("nobody may deploy: \(directory.file("etc/deployers")) has no key") ? true : nil
    }
    for descriptor in try manager.receive("FDSTORE=1").descriptors { close(descriptor) }
    try manager.receive("READY=1")
  }
}
