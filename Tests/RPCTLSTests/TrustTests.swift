import RPCKeys
import RPCSystem
import RPCTransport
import Testing

@testable import RPCTLS

@Suite("Whom TLS trusts")
struct TrustTests {
  @Test("a pin takes the key that it names, whatever the name, and refuses every other before a byte is sent")
  func pins() throws {
    let right = try TLSPair.made(host: "other.test", isAddress: false)
    right.client.toSend = [1]
    right.run()
    #expect(right.server.received == [1])
    let other = TLSPair.makeIdentity(hosts: ["localhost"])
    let wrong = try TLSPair.made(trust: .pin(other.pin))
    wrong.client.toSend = [1]
    wrong.run()
    let failure = try #require(wrong.client.failure)
    #expect(failure.isRefusal)
    #expect(
      failure.description.contains(
        "it has the certificate \(TLSPair.identity.pin), expected was \(other.pin)"))
    #expect(wrong.server.received.isEmpty && wrong.server.failure != nil)
  }

  @Test(
    "an authority vouches for the names of a certificate and for no other",
    arguments: [
      ("127.0.0.1", true, true), ("127.0.0.2", true, false), ("localhost", false, true),
      ("example.test.", false, true), ("evil.test", false, false),
    ])
  func authorities(host: String, isAddress: Bool, isTaken: Bool) throws {
    let text = String(decoding: TLSPair.identity.chain, as: UTF8.self)
    let pair = try TLSPair.made(trust: .authorities(text), host: host, isAddress: isAddress)
    pair.client.toSend = [1]
    pair.run()
    #expect((pair.client.failure == nil) == isTaken)
    #expect(pair.server.received == (isTaken ? [1] : []))
  }

  @Test("a certificate of another authority is not taken")
  func otherAuthority() throws {
    let text = String(decoding: TLSPair.makeIdentity(hosts: ["localhost"]).chain, as: UTF8.self)
    let pair = try TLSPair.made(trust: .authorities(text), host: "localhost", isAddress: false)
    pair.client.toSend = [1]
    pair.run()
    #expect(pair.client.failure?.description.contains("does not vouch") == true)
  }

  @Test("authorities that are none are told")
  func noAuthorities() {
    for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
      #expect(throws: TLSError.self) { try TLSClientContext.context(for: .authorities(text)) }
    }
  }

  @Test("the certificate is shown whose name the client asks for, else the first")
  func serverNames() throws {
    let first = TLSPair.makeIdentity(hosts: ["a.test"])
    let second = TLSPair.makeIdentity(hosts: ["b.test"])
    let context = try TLSPair.serverContext([first, second])
    for (name, wanted) in [("a.test", first), ("b.test", second), ("c.test", first)] {
      let pair = try TLSPair.made(trust: .pin(wanted.pin), host: name, isAddress: false, context: context)
      pair.client.toSend = [1]
      pair.run()
      #expect(pair.server.received == [1], "\(name)")
    }
  }

  @Test("a key and a certificate that do not belong together are refused, and so is what is no PEM")
  func badIdentities() throws {
    let key = try TLSIdentity.makeKey()
    #expect(throws: TLSError.self) {
      try TLSIdentity(chain: TLSPair.identity.chain, key: key, source: "x.pem")
    }
    #expect(throws: TLSError.self) { try TLSIdentity(chain: [], key: key, source: "x.pem") }
    #expect(throws: TLSError.self) { try TLSIdentity(chain: Array("x".utf8), key: key, source: "x.pem") }
    #expect(throws: TLSError.self) {
      try TLSIdentity(chain: TLSPair.identity.chain, key: [], source: "x.pem")
    }
  }

  @Test("ticket keys change with time; the last one still opens, the one before does not")
  func ticketKeys() throws {
    let clock = ManualClock()
    let keys = TicketKeys(clock: clock)
    let first = try #require(keys.key(named: nil)).key
    #expect(keys.key(named: first.name)?.isOld == false)
    clock.advance(by: .nanoseconds(TLSLimits.ticketKeyNanoseconds))
    let second = try #require(keys.key(named: nil)).key
    #expect(second.name != first.name)
    #expect(keys.key(named: first.name)?.isOld == true)
    clock.advance(by: .nanoseconds(TLSLimits.ticketKeyNanoseconds))
    #expect(keys.key(named: first.name) == nil && keys.key(named: second.name)?.isOld == true)
    clock.advance(by: .nanoseconds(3 * TLSLimits.ticketKeyNanoseconds))
    #expect(keys.key(named: second.name) == nil)
    #expect(keys.key(named: Array(repeating: 0, count: 16)) == nil)
  }

  /// Shakes hands and has a byte answered, with which the ticket comes.
  private func connect(
    _ context: TLSServerContext, _ trust: ServerTrust, as identity: TLSIdentity? = nil,
    host: String = "localhost",
    port: Int = 1
  ) throws -> TLSPair {
    let client = try TLSClientContext.context(for: trust, as: identity)
      .makeFilter(host: host, isAddress: false, port: port)
    let pair = TLSPair(server: try context.makeFilter(), client: client)
    pair.client.toSend = [1]
    pair.server.toSend = [2]
    pair.run()
    return pair
  }

  @Test("a client goes on with the last session of each server, and with none where it trusts or is another")
  func resumption() throws {
    let identity = TLSPair.makeIdentity(hosts: ["localhost", "other.test"])
    let keys = TicketKeys()
    func context(_ keys: TicketKeys) throws -> TLSServerContext {
      try TLSPair.serverContext([identity], trust: ClientTrust(asks: { true }), ticketKeys: keys)
    }
    let server = try context(keys)
    let pin = ServerTrust.pin(identity.pin)
    #expect(try !connect(server, pin).client.filter.isResumed)
    for _ in 0..<3 {
      let pair = try connect(server, pin)
      #expect(pair.client.filter.isResumed && pair.server.filter.isResumed)
      #expect(pair.server.received == [1] && pair.client.received == [2])
    }
    // The same keys over other certificates' context, as after SIGHUP.
    #expect(try connect(context(keys), pin).client.filter.isResumed)
    #expect(try !connect(server, pin, port: 2).client.filter.isResumed)
    #expect(try !connect(server, pin, host: "other.test").client.filter.isResumed)
    let authority = ServerTrust.authorities(String(decoding: identity.chain, as: UTF8.self))
    #expect(try !connect(server, authority).client.filter.isResumed)
    // Who shows a certificate does not go on with the session of somebody who shows none; the server knows it again.
    let own = TLSPair.makeIdentity(hosts: ["me.test"])
    #expect(try connect(server, pin).server.filter.peer == nil)
    let first = try connect(server, pin, as: own)
    #expect(!first.client.filter.isResumed && first.server.filter.peer?.pin == own.pin)
    let second = try connect(server, pin, as: own)
    #expect(second.client.filter.isResumed && second.server.filter.peer?.pin == own.pin)
    // A server that was started again has other keys: a whole handshake, and no failure.
    let again = try connect(context(TicketKeys()), pin)
    #expect(!again.client.filter.isResumed && again.client.failure == nil && again.client.received == [2])
  }

  @Test("a session is not gone on with after a handshake that failed")
  func failedResumption() throws {
    let identity = TLSPair.makeIdentity(hosts: ["localhost"])
    let server = try TLSPair.serverContext([identity])
    let pin = ServerTrust.pin(identity.pin)
    _ = try connect(server, pin, port: 9)
    let client = try TLSClientContext.context(for: pin).makeFilter(
      host: "localhost", isAddress: false, port: 9)
    let broken = TLSPair(server: try server.makeFilter(), client: client)
    _ = TLSPair.send(&broken.client)
    _ = TLSPair.receive([21, 3, 3, 0, 2, 2, 40], &broken.client, chunk: .max)
    #expect(broken.client.failure != nil)
    #expect(try !connect(server, pin, port: 9).client.filter.isResumed)
  }
}
