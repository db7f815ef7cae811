import RPCNetwork
import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

/// What a server says when it cannot answer, or must not say.
extension RecoveryTests {
  @Test("an error of the whole connection reaches every call, by its own name")
  func connectionError() async throws {
    let server = try FakeServer { peer in
      guard try peer.read(8) == Preface.bytes else { return }
      _ = try peer.readFrame()
      peer.send { RPCError(.unauthenticated, "'c1' calls from another address").encode(to: &$0, callID: 0) }
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .unauthenticated)
    #expect(error?.executed == .no)
    #expect(error?.message == "server 's1' (127.0.0.1:\(server.port)): 'c1' calls from another address")
    await client.close()
  }

  @Test("an exception of a BIND or a CALL is told as the server tells it, and not tried again")
  func exceptions() async throws {
    let calls = Lock(0)
    let raised = RPCError(.executionException, "no such row", executed: .yes, source: "rows.py:3")
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let frame = try peer.next(.bind, .call)
        if frame.kind == .call {
          calls.withLock { $0 += 1 }
          peer.fail(frame, raised)
        } else if try frame.bind.procedure == "missing" {
          peer.fail(frame, RPCError(.rpcNotFound, "no 'missing'"))
        } else {
          try peer.bound(frame)
        }
      }
    }
    let client = Self.client(server)
    #expect(
      await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
        == raised.from("s1"))
    #expect(
      await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.missing", []) }
        == RPCError(.rpcNotFound, "no 'missing'").from("s1"))
    #expect(calls.withLock { $0 } == 1)
    await client.close()
  }

  /// What a server sends instead of a HELLO, and what callers are told.
  static let garbage: [(String, [UInt8], String)] = [
    (
      "HTTP", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
      "is not an rpc-server: an HTTP server answered; check its address and port"
    ),
    (
      "SSH", Array("SSH-2.0-x\r\n".utf8),
      "is not an rpc-server: an SSH server answered; check its address and port"
    ),
    (
      "TLS", [0x15, 3, 3, 0, 2, 2, 40],
      "is not an rpc-server: a TLS server answered; check its address and port"
    ),
    (
      "a line of JSON",
      Array(#"{"header":"RPC-EX","value":{"exception-type":"ProtocolError","exception-message":"no"}}"#.utf8),
      "is not an rpc-server: it answered with a line of JSON: no; check its address and port"
    ),
    (
      "text", Array("220 mail.example.org ESMTP\r\n".utf8),
      "is not an rpc-server: it answered \"220 mail.example.org ESMTP\"; check its address and port"
    ),
    (
      "a reply before the HELLO", [0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
      "does not speak this protocol: a REPLY came before the HELLO"
    ),
    (
      "a HELLO that is not a map", [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x90],
      "does not speak this protocol: a HELLO is a map"
    ),
    (
      "an unknown kind", [0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      "does not speak this protocol: frame kind 99 is unknown"
    ),
    (
      "a frame that is too long", [255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      "does not speak this protocol: a frame of 4294967295 bytes is larger than the limit of 16777216 bytes"
    ),
  ]

  @Test("a server that speaks something else is a protocol error, never a crash", arguments: garbage.indices)
  func speaksGarbage(index: Int) async throws {
    let bytes = Self.garbage[index].1
    let server = try FakeServer { peer in
      peer.send { $0.append(bytes) }
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .protocolError)
    #expect(error?.executed == .no)
    #expect(error?.message == "server 's1' (127.0.0.1:\(server.port)) \(Self.garbage[index].2)")
    let blocking = await BlockingTests.error { () throws(RPCError) in try client.invokeBlocking("math.x", [])
    }
    #expect(blocking == error)
    await client.close()
  }
}
