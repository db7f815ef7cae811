internal import RPCKeys
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Who is at the other end: its HELLO, and the proof of its key.
extension NativeDialect {
  func greet(_ payload: RawSpan, into output: inout ByteQueue) throws(WireError) {
    let hello = try Hello(payload: payload)
    guard hello.version == Preface.majorVersion else {
      connection.refuse(
        RPCError(
          .protocolError,
          "version \(hello.version) of the protocol is not supported, version \(Preface.majorVersion) is"))
      return
    }
    let willProve = hello.features.contains(Feature.proof)
    // Proofs without a nonce are those of versions whose servers had no keys.
    guard !willProve || hello.nonce != nil else {
      connection.refuse(
        RPCError(
          .unauthenticated,
          "'\(hello.agent.prefix(64))' proves its key in the way of version 1.0, which another server could pass on: "
            + "use a client of version \(Release.firstWithServerKeys) or later, as this server does"))
      return
    }
    if let identity = hello.identity {
      do {
        try caller.claim(identity, in: host.catalogue, willProve: willProve)
      } catch {
        connection.refuse(error)
        return
      }
    }
    peerFrameBytes = max(WireLimits.helloBytesMax, hello.frameBytes)
    decoder.frameBytesLimit = host.options.frameBytes
    isGreeted = true
    connection.greeted()
    var answer = Hello(agent: host.agent)
    answer.frameBytes = host.options.frameBytes
    answer.callsInFlight = host.options.callsPerConnection
    answer.pingMilliseconds = host.options.pingMilliseconds
    answer.keepaliveMilliseconds = host.options.keepaliveMilliseconds
    answer.generation = host.catalogue.serial
    if let nonce = hello.nonce {
      answer.serverProof = ServerProof(of: host.core.key, to: nonce, channel: channelBinding)
    }
    // One that does not speak of it may be unable to answer while it waits.
    if hello.keepaliveMilliseconds > 0 {
      connection.keepalive.milliseconds = host.options.keepaliveMilliseconds
    }
    if willProve {
      challenge = RandomBytes.challenge()
      answer.challenge = challenge
      answer.features = [Feature.proof]
    }
    answer.encode(to: &output)
    if connection.isDraining { goAway(into: &output) }
  }

  func prove(_ proof: Proof, into output: inout ByteQueue) throws(WireError) {
    guard let challenge = challenge.take() else { throw .malformedFrame("a PROOF that nobody asked for") }
    do {
      try caller.prove(
        proof, challenge: challenge,
        scope: ProofScope(serverKey: host.core.key.publicKey.bytes, channel: channelBinding),
        serverName: host.core.serverName, local: SocketAddress.local(of: socket.descriptor),
        in: host.catalogue)
    } catch {
      connection.refuse(error)
      return
    }
    connection.renewAccess()
    host.log.proved(caller)
    output.appendEmptyFrame(.proof, callID: 0)
  }

  /// What ties proofs to the channel of this connection: nothing outside TLS.
  private var channelBinding: [UInt8] { socket.filter?.channelBinding ?? [] }
}
