import Foundation
import RPCClient
import RPCWire
import TestSupport
import Testing

/// The first call of a procedure on a loop takes the way of all runtimes; the next ones may end where they are read.
@Suite("Lua, called again and again")
struct LuaCallTests {
  private static let source = """
    count = 0
    function tell(name)
      local deadline = rpc.deadline()
      return rpc.caller(), rpc.metadata(name), deadline ~= nil and deadline > 0 and deadline <= 51, os.getenv("PLACE")
    end
    function fail(text) error(text) end
    function note(text) count = count + 1 rpc.log(text, count) return count end
    function spin(on) while on do end return true end
    function relay(name) return rpc.call("s1", "test.note", name) end
    function grow(count) return ("x"):rep(count) end
    """

  private static func network() throws -> Network {
    let network = try Network(options: ["--loops", "1"])
    try network.directory.write(source, to: "test.lua")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me, service test], rpcs: [tell, fail, note, spin, relay, grow], env: {PLACE: here}}
      rpc:
        test:
          - tell: {args: [str], returns: ["Optional[str]", "Optional[str]", bool, str], src: test.lua}
          - fail: {args: [str], returns: [int], src: test.lua}
          - note: {args: [str], returns: [int], src: test.lua}
          - spin: {args: [bool], returns: [bool], src: test.lua}
          - relay: {args: [str], returns: [int], src: test.lua}
          - grow: {args: [int], returns: [str], src: test.lua}
      """)
    try network.deploy()
    return network
  }

  private static func options(_ metadata: [String: Value] = [:]) -> CallOptions {
    var options = CallOptions.deadline(.seconds(50))
    options.metadata = metadata
    return options
  }

  @Test("each call is told who calls, what came with it and how long it has, also right after another one's")
  func context() async throws {
    let network = try Self.network()
    let client = network.client()
    for number in 0..<5 {
      let told: (String?, String?, Bool, String) = try await client.call(
        "test.tell", "x-own", options: Self.options(["x-own": .string("mine \(number)")]))
      #expect(told == ("me", "mine \(number)", true, "here"))
      let plain: (String?, String?, Bool, String) = try await client.call("test.tell", "x-own")
      #expect(plain == ("me", nil, false, "here"))
    }
    await client.close()
    // It ends with its network.
    #expect(try network.server("s1").isRunning)
  }

  @Test("calls share globals, call others, return much, fail and are ended, in any order and many at once")
  func mixed() async throws {
    let network = try Self.network()
    let client = network.client()
    let noted: [Int] = try await withThrowingTaskGroup(of: [Int].self) { group in
      for number in 0..<200 {
        group.addTask {
          switch number % 5 {
          case 0: return [try await client.call("test.note", "note \(number)")]
          case 1: return [try await client.call("test.relay", "relay \(number)")]
          case 2:
            let long: String = try await client.call("test.grow", number * 1000)
            #expect(long.utf8.count == number * 1000)
          case 3:
            let error = await #expect(throws: RPCError.self) {
              let _: Int = try await client.call("test.fail", "no \(number)")
            }
            #expect(error?.message == "no \(number)")
            #expect(error?.source == "test.lua:6")
          default:
            let error = await #expect(throws: RPCError.self) {
              let _: Bool = try await client.call("test.spin", true, options: .deadline(.milliseconds(30)))
            }
            #expect(error?.exception == .deadlineExceeded)
          }
          return []
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(noted.sorted() == Array(1...80))
    let spun: Bool = try await client.call("test.spin", false)
    #expect(spun)
    await client.close()
    let page = try run("/usr/bin/curl", ["-sS", "http://127.0.0.1:\(network.port("s1"))/metrics"]).output
    func value(_ name: String, _ procedure: String) -> Double? {
      page.split(separator: "\n").first {
        $0.hasPrefix("\(name){") && $0.contains("\"\(procedure)\"") && !$0.contains("le=")
      }
      .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
    }
    #expect(value("simplerpc_call_duration_seconds_count", "note") == 80, "\(page)")
    #expect(value("simplerpc_call_duration_seconds_count", "grow") == 40)
    #expect(value("simplerpc_call_duration_seconds_count", "fail") == 40)
  }
}
