import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("The memory of a server")
struct MemoryTests {
  private static let mebibyte = 1024 * 1024
  private static let strangers = 100

  /// What a process holds in memory, in bytes.
  private static func residentBytes(_ server: ChildProcess) throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(server.pid)/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    guard let kibibytes = line?.split(separator: " ").dropLast().last.flatMap({ Int($0) }) else {
      throw Failure("no VmRSS of \(server.pid)")
    }
    return kibibytes * 1024
  }

  /// A HELLO, and the beginning of a call of almost 16 MiB that is never whole.
  private static func unfinished() -> [UInt8] {
    var queue = ByteQueue()
    queue.append(Preface.bytes)
    Hello(agent: "test").encode(to: &queue)
    let count = WireLimits.frameBytes - 1024
    queue.append(littleEndian: UInt64(WireLimits.frameBytes) | UInt64(FrameKind.call.rawValue) << 32)
    queue.append(littleEndian: 7 as UInt64)
    return queue.copy() + [UInt8](repeating: 0xc0, count: count)
  }

  @Test("a hundred strangers with frames of 16 MiB hold a quarter of --max-memory, and it is given back")
  func strangersAreBounded() throws {
    // Nothing is deployed, so that nobody on this host is a client.
    let limit = 64 * Self.mebibyte
    let network = try Network(options: ["--max-memory", "\(4 * limit)", "--loops", "2"])
    let server = try network.server("s1")
    let neighbour = try network.lines()
    #expect(try neighbour.call("system.ping").exceptionType == nil)
    let before = try Self.residentBytes(server)
    let bytes = Self.unfinished()
    var errors: [String] = []
    var most = before
    do {
      var clients: [LineClient] = []
      for _ in 0..<Self.strangers {
        let client = try LineClient(port: network.port("s1"))
        clients.append(client)
        try client.send(bytes)
        most = max(most, try Self.residentBytes(server))
      }
      // Four of almost 16 MiB fit at most.
      let expected = Self.strangers - 8
      let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
      repeat {
        errors = clients.map { String(decoding: $0.receiveWhatIsThere(), as: UTF8.self) }
          .filter { $0.contains("ResourceExhausted") }
        most = max(most, try Self.residentBytes(server))
      } while errors.count < expected && Date() < deadline
      // Who may deploy has the rest.
      try network.deployPython(["f: {args: [], returns: [int]}"], source: "def f(): return 1\n")
      #expect(try neighbour.call("test.f") == .values([.int(1)]))
    }
    #expect(errors.count >= Self.strangers - 8, "\(errors.count) were refused")
    for error in errors {
      #expect(
        error.contains("the limit is \(limit)") && error.contains("unknown peers"),
        "\(error.unicodeScalars.filter { $0.value >= 32 })")
    }
    #expect(most - before < limit * 2, "\(most / Self.mebibyte) MiB, \(before / Self.mebibyte) MiB before")
    // They are gone; the memory goes back to the system.
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    var after = most
    while after - before > limit / 2, Date() < deadline {
      #expect(try neighbour.call("system.ping").exceptionType == nil)
      after = try Self.residentBytes(server)
    }
    #expect(
      after - before <= limit / 2, "\(after / Self.mebibyte) MiB, \(before / Self.mebibyte) MiB before")
  }
}
