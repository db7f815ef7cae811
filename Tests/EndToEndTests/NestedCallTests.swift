import CLinux
import Foundation
import RPCClient
import RPCKeys
import RPCWire
import TestSupport
import Testing

@Suite("Calls that procedures make")
struct NestedCallTests {
  private static let python = """
    import rpc
    \(SocketGate.python)
    def outer(port):
        pass_gate(port)
        return rpc.call("s2", "test.inner", 7)

    def inner(number):
        return number
    """
  private static let lua = """
    function relay(port)
      return rpc.call("s2", "test.inner", 7)
    end
    """

  /// Two servers with the procedures, of which the second is then replaced by the test.
  private static func network() throws -> (Network, FakeProvider) {
    let network = try Network(["s1", "s2"])
    try network.directory.write(python, to: "test.py")
    try network.directory.write(lua, to: "test.lua")
    try network.describe(
      """
      service:
        - test:
            providers: [s1, s2]
            tenants: [me]
            rpcs: [outer, relay, inner]
            network: true
      rpc:
        test:
          - outer: {args: [int], returns: [int], src: test.py}
          - inner: {args: [int], returns: [int], src: test.py}
          - relay: {args: [int], returns: [int], src: test.lua}
      """)
    try network.deploy()
    let second = try network.server("s2")
    second.signal(SIGTERM)
    try second.waitForEnd()
    return (network, try FakeProvider(port: network.port("s2")))
  }

  @Test("a deadline goes with them, less what has passed", arguments: ["test.outer", "test.relay"])
  func deadline(procedure: String) async throws {
    let (network, provider) = try Self.network()
    let gate = try SocketGate()
    let client = network.client()
    let began = ContinuousClock.now
    async let answer: Int = client.call(procedure, gate.port, on: "s1", options: .deadline(.seconds(50)))
    var passed = Duration.zero
    if procedure == "test.outer" {
      // What passes at the gate has passed for the call too: the server knew of it before the visitor came.
      let visitor = try await waiting { try gate.admit() }
      let arrived = ContinuousClock.now
      // A connection to a server of the test's own, there and back, many times: some time.
      for _ in 0..<100 { _ = try network.lines().call("system.ping") }
      passed = ContinuousClock.now - arrived
      visitor.letGo()
    }
    let call = try await waiting { try provider.takeCall() }
    #expect(call.timeout > .zero)
    #expect(call.timeout < .seconds(50) - passed)
    // What is left must not be more than the whole less what this test has seen pass, nor much less.
    #expect(call.timeout > .seconds(50) - (ContinuousClock.now - began) - .seconds(1))
    provider.answer(call, [7])
    #expect(try await answer == 7)
    await client.close()
  }

  @Test("they end when the call that made them is cancelled", arguments: ["test.outer", "test.relay"])
  func cancel(procedure: String) async throws {
    let (network, provider) = try Self.network()
    let gate = try SocketGate()
    let client = network.client()
    let port = gate.port
    let task = Task { () -> Int in try await client.call(procedure, port, on: "s1") }
    if procedure == "test.outer" { try await waiting { try gate.admit() }.letGo() }
    let call = try await waiting { try provider.takeCall() }
    // Without a deadline there is none to carry.
    #expect(call.timeout == .zero)
    task.cancel()
    let error = await #expect(throws: RPCError.self) { try await task.value }
    #expect(error?.exception == .cancelled)
    #expect(try await waiting { try provider.takeCancel() } == call.id)
    await client.close()
  }

  /// Blocks a thread of its own, not one of the concurrency pool.
  private func waiting<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
    -> Result
  {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
  }
}

/// A server that answers as the test tells it.
///
/// `@unchecked Sendable`: used by one thread after the other.
private final class FakeProvider: @unchecked Sendable {
  struct Call: Sendable {
    var id: UInt64
    var timeout: Duration
  }

  private let listener: Int32
  private var descriptor: Int32 = -1
  private var buffer: [UInt8] = []

  init(port: Int) throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var on: Int32 = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isReady = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && listen(listener, 8) == 0
      }
    }
    guard isReady else { throw Failure("cannot listen on \(port): \(String(cString: strerror(errno)))") }
  }

  deinit {
    close(listener)
    if descriptor >= 0 { close(descriptor) }
  }

  /// Introduces itself, binds whatever is asked for, and returns the first call.
  func takeCall() throws -> Call {
    descriptor = rpc_accept(listener, nil, nil)
    guard descriptor >= 0 else { throw Failure("nobody came") }
    rpc_set_nonblocking(descriptor, 0)
    var timeout = timeval(tv_sec: Int(ChildProcess.timeoutSeconds), tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    while buffer.count < Preface.bytes.count { try receive() }
    buffer.removeFirst(Preface.bytes.count)
    while true {
      let (header, payload) = try next()
      switch FrameKind(rawValue: header.kind) {
      case .hello:
        var hello = Hello(agent: "fake")
        hello.serverProof = ServerProof(
          of: .random(), to: try Hello(payload: payload.span.bytes).nonce ?? [], channel: [])
        hello.challenge = [UInt8](repeating: 1, count: 32)
        hello.features = [Feature.proof]
        send { hello.encode(to: &$0) }
      case .proof: send { $0.appendEmptyFrame(.proof, callID: 0) }
      case .bind:
        let bound = Bound(procedureID: 3, arguments: [.int], returns: [.int], idempotent: false)
        send { bound.encode(to: &$0, callID: header.callID) }
      case .call:
        let microseconds = payload[4..<8].reversed().reduce(0) { $0 << 8 | Int64($1) }
        return Call(id: header.callID, timeout: .microseconds(microseconds))
      default: continue
      }
    }
  }

  /// The id of the next CANCEL.
  func takeCancel() throws -> UInt64 {
    while true {
      let (header, _) = try next()
      if header.kind == FrameKind.cancel.rawValue { return header.callID }
    }
  }

  func answer(_ call: Call, _ values: [Value]) {
    send { queue in
      let mark = queue.beginFrame(.reply, callID: call.id)
      Value.list(values).encode(to: &queue)
      queue.endFrame(mark)
    }
  }

  private func send(_ encode: (inout ByteQueue) -> Void) {
    var queue = ByteQueue()
    encode(&queue)
    let bytes = queue.copy()
    _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, ChildProcess.noSignal) }
  }

  private func next() throws -> (FrameHeader, [UInt8]) {
    while true {
      if let header = FrameHeader(buffer.span.bytes, at: 0),
        buffer.count >= FrameHeader.byteCount + Int(header.length)
      {
        let end = FrameHeader.byteCount + Int(header.length)
        defer { buffer.removeFirst(end) }
        return (header, Array(buffer[FrameHeader.byteCount..<end]))
      }
      try receive()
    }
  }

  private func receive() throws {
    var chunk = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &chunk, chunk.count, 0)
    guard count > 0 else { throw Failure("the caller left") }
    buffer += chunk[..<count]
  }
}
