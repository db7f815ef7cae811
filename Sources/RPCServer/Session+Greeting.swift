internal import RPCKeys
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Who is at the other end: its HELLO, and the proof of its key.
extension Session {
  func greet(_ payload: RawSpan, into output: inout ByteQueue) throws(WireError) {
    let hello = try Hello(payload: payload)
    guard hello.version == Preface.majorVersion else {
      refuse(
        RPCError(
          .protocolError,
          "version \(hello.version) of the protocol is not supported, version \(Preface.majorVersion) is"))
      return
    }
    let willProve = hello.features.contains(Feature.proof)
    if let identity = hello.identity {
      do {
        try caller.claim(identity, in: host.catalogue, willProve: willProve)
      } catch {
        refuse(error)
        return
      }
    }
    peerFrameBytes = max(WireLimits.helloBytesMax, hello.frameBytes)
    decoder.frameBytesLimit = host.options.frameBytes
    dialect = .native
    host.greeted(self)
    armTimer()
    var answer = Hello(agent: host.agent)
    answer.frameBytes = host.options.frameBytes
    answer.callsInFlight = host.options.callsPerConnection
    answer.pingMilliseconds = host.options.pingMilliseconds
    answer.generation = host.catalogue.serial
    if willProve {
      answer.challenge = newChallenge()
      answer.features = [Feature.proof]
    }
    answer.encode(to: &output)
    if isDraining { goAway(into: &output) }
  }

  func prove(_ proof: Proof, into output: inout ByteQueue) throws(WireError) {
    guard let challenge = challenge.take() else { throw .malformedFrame("a PROOF that nobody asked for") }
    do {
      try caller.prove(
        proof, challenge: challenge, serverName: host.core.serverName,
        local: SocketAddress.local(of: connection.descriptor), in: host.catalogue)
    } catch {
      refuse(error)
      return
    }
    access = Access()
    host.log.proved(caller)
    output.appendEmptyFrame(.proof, callID: 0)
  }

  private func newChallenge() -> [UInt8] {
    var random = SystemRandomNumberGenerator()
    let bytes = (0..<Hello.challengeBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    challenge = bytes
    return bytes
  }
}
