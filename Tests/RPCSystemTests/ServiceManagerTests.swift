import Glibc
import TestSupport
import Testing

@testable import RPCSystem

@Suite("What a service and its manager tell each other", .serialized)
struct ServiceManagerTests {
  @Test("each message is one datagram of lines, to a path or an abstract address", arguments: [false, true])
  func messages(isAbstract: Bool) throws {
    let manager = try StandInServiceManager(isAbstract: isAbstract)
    let notifier = ServiceNotifier(address: manager.address)
    try notifier.isReady(status: "serves\nWATCHDOG=1")
    // A line end in the text would begin a variable of its own.
    #expect(try manager.receive().lines == ["READY=1", "STATUS=serves WATCHDOG=1"])
    try notifier.isAlive()
    #expect(try manager.receive().lines == ["WATCHDOG=1"])
    try notifier.tell(status: "all well")
    #expect(try manager.receive().lines == ["STATUS=all well"])
    try notifier.isStopping(withinMicroseconds: 15_000_000)
    #expect(
      try manager.receive().lines == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=15000000", "STATUS=draining"])
    try notifier.forget(named: "x")
    #expect(try manager.receive().lines == ["FDSTOREREMOVE=1", "FDNAME=x"])
  }

  @Test("a reload tells the monotonic time at which it was begun")
  func reloading() throws {
    let manager = try StandInServiceManager()
    let before = SystemClock.monotonicNanoseconds() / 1000
    try ServiceNotifier(address: manager.address).isReloading()
    let message = try manager.receive()
    #expect(message.lines.first == "RELOADING=1")
    let time = try #require(message.value("MONOTONIC_USEC").flatMap { UInt64($0) })
    #expect((before...SystemClock.monotonicNanoseconds() / 1000).contains(time))
  }

  @Test("a descriptor that is to be kept travels with its name, and is the same file")
  func keeping() throws {
    let manager = try StandInServiceManager()
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    try ServiceNotifier(address: manager.address).keep(ends[1], named: "listener")
    let message = try manager.receive()
    #expect(message.lines == ["FDSTORE=1", "FDNAME=listener"])
    let kept = try #require(message.descriptors.first)
    #expect(kept != ends[1])
    #expect(write(kept, "x", 1) == 1)
    var byte: UInt8 = 0
    #expect(read(ends[0], &byte, 1) == 1)
    for end in ends + [kept] { close(end) }
  }

  @Test(
    "an address where nobody listens, or that is none, is an error that names it",
    arguments: ["/no/such/socket", "relative", "@", "", "/" + String(repeating: "x", count: 200)])
  func nobody(_ address: String) throws {
    let error = #expect(throws: SystemError.self) { try ServiceNotifier(address: address).isAlive() }
    #expect(error?.description.contains("'\(address)'") == true)
  }

  /// Sets variables for the length of a test, which runs alone.
  private func with<Result>(_ variables: [String: String], _ body: () throws -> Result) rethrows -> Result {
    for (name, value) in variables { setenv(name, value, 1) }
    defer { for name in variables.keys { unsetenv(name) } }
    return try body()
  }

  @Test("the variables of the environment are taken away, since they are for this process alone")
  func environment() throws {
    let watchdog = try with([
      "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "\(getpid())",
    ]) {
      defer {
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] { #expect(getenv(name) == nil) }
      }
      return try #require(ServiceNotifier.take()).watchdogMicroseconds
    }
    #expect(watchdog == 30_000_000)
    let other = with(["NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]) {
      ServiceNotifier.take()
    }
    #expect(other != nil)
    #expect(other?.watchdogMicroseconds == nil)
    #expect(ServiceNotifier.take() == nil)
  }

  @Test(
    "descriptors are taken where they are this process's, each with its name",
    arguments: [
      (["LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"], ["a 3", "b 4"]),
      (["LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"], ["a 3", "unknown 4"]),
      (["LISTEN_PID": "7", "LISTEN_FDS": "1"], ["unknown 3"]),
      (["LISTEN_PID": "8", "LISTEN_FDS": "1"], []),
      (["LISTEN_FDS": "1"], []),
      (["LISTEN_PID": "7"], []),
      (["LISTEN_PID": "7", "LISTEN_FDS": "0"], []),
      (["LISTEN_PID": "7", "LISTEN_FDS": "-1"], []),
      (["LISTEN_PID": "7", "LISTEN_FDS": "many"], []),
      (["LISTEN_PID": "7", "LISTEN_FDS": "9999999999"], []),
    ] as [([String: String], [String])])
  func descriptors(_ variables: [String: String], _ wanted: [String]) {
    let found = InheritedDescriptor.read(variables, process: 7)
    #expect(found.map { "\($0.name) \($0.raw)" } == wanted)
  }

  @Test(
    "of the directories that a variable lists the first counts",
    arguments: [("/var/lib/a", "/var/lib/a"), ("/a:/b", "/a"), ("", nil)] as [(String, String?)])
  func directories(_ value: String, _ wanted: String?) {
    with(["STATE_DIRECTORY": value]) { #expect(ServiceVariables.directory("STATE_DIRECTORY") == wanted) }
    #expect(ServiceVariables.directory("STATE_DIRECTORY") == nil)
  }
}
