import RPCClient
import RPCKeys
import RPCNetwork
import RPCServer
import RPCSystem
import RPCWire
import TestSupport
import Testing

@Suite("A client of a server that speaks TLS")
struct TLSTests {
  private static func server(_ directory: TemporaryDirectory, _ mode: TLSOptions.Mode = .required) throws
    -> Server
  {
    var options = ServerOptions()
    options.loops = 1
    options.dataDirectory = directory.file("data")
    options.tls.mode = mode
    let server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure("math.add") { (a: Int, b: Int) -> Int in a &+ b },
        NativeProcedure("math.same") { (value: Bytes) -> Bytes in value },
      ], options: options)
    try server.start()
    return server
  }

  private static func client(
    _ server: Server, pin: CertificatePin? = nil, authorities: String? = nil, key: PrivateKey? = nil
  ) -> RPCClient {
    var options = ClientOptions()
    options.key = key
    return RPCClient(
      topology: Topology(
        servers: [
          .init(
            name: "s1", host: "127.0.0.1", port: UInt16(server.port), certificate: pin,
            authorities: authorities)
        ], services: [.init(name: "math", providers: ["s1"], tenants: [])]), options: options)
  }

  private static func pin(_ server: Server) throws -> CertificatePin {
    try CertificatePin(parsing: try #require(server.certificatePins.first))
  }

  @Test(
    "calls of all sizes pass, on the loop and blocking, with a key that is proven and without",
    arguments: [true, false])
  func calls(provesKey: Bool) async throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory)
    defer { server.stopNow() }
    let client = try Self.client(server, pin: Self.pin(server), key: provesKey ? .random() : nil)
    for size in [0, 1, 16_384, 300_000, 4_000_000] {
      let bytes = Bytes((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) })
      let same: Bytes = try await client.call("math.same", bytes)
      #expect(same == bytes)
      let blocking = try await BlockingTests.onThread { () throws(RPCError) -> Bytes in
        try client.callBlocking("math.same", bytes)
      }
      #expect(blocking == bytes)
    }
    try await withThrowingTaskGroup { group in
      for number in 0..<500 {
        group.addTask {
          let sum: Int = try await client.call("math.add", number, 1)
          #expect(sum == number + 1)
        }
      }
      try await group.waitForAll()
    }
    await client.close()
  }

  @Test("an authority of the network vouches for a server's address")
  func authority() async throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory, .offered)
    defer { server.stopNow() }
    let text = String(
      decoding: try WholeFile.read(directory.file("data/tls-certificate.pem"), limit: 100_000), as: UTF8.self)
    let sum: Int = try await Self.client(server, authorities: text).call("math.add", 1, 2)
    #expect(sum == 3)
    // Offered is not required.
    let plain: Int = try await Self.client(server).call("math.add", 1, 2)
    #expect(plain == 3)
  }

  @Test(
    "a server with another key, or none, gets no call, and the caller is told which",
    arguments: [true, false])
  func refused(isBlocking: Bool) async throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory)
    defer { server.stopNow() }
    let other = try CertificatePin(digest: [UInt8](repeating: 1, count: 32))
    func error(_ client: RPCClient) async -> RPCError? {
      do {
        let _: Int =
          isBlocking
          ? try await BlockingTests.onThread { () throws(RPCError) -> Int in
            try client.callBlocking("math.add", 1, 2)
          }
          : try await client.call("math.add", 1, 2)
        return nil
      } catch {
        return error as? RPCError
      }
    }
    let wrong = try #require(await error(Self.client(server, pin: other)))
    #expect(wrong.exception == .unauthenticated && wrong.executed == .no)
    #expect(wrong.message.contains("it has the certificate \(try Self.pin(server)), expected was \(other)"))
    let plain = try #require(await error(Self.client(server)))
    #expect(plain.exception == .unauthenticated && plain.message.contains("this port speaks TLS only"))
    let off = try RealServerTests.server(named: "off")
    defer { off.stopNow() }
    let none = try #require(await error(Self.client(off, pin: other)))
    #expect(none.message.contains("no TLS is spoken on this port"), "\(none)")
    let bad = try #require(await error(Self.client(off, authorities: "nothing")))
    #expect(bad.exception == .failedPrecondition && bad.message.contains("holds no certificates"))
  }
}
