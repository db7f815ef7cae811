internal import RPCKeys
internal import RPCNetwork
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// A caller that the token of a request names, with its rights: beside the connection's own caller, since requests of
/// one connection may be of several.
internal final class TokenCaller {
  let caller: Caller
  private let token: TokenDigest
  private var access = Access()

  /// Takes the token of a request.
  ///
  /// - Parameters:
  ///   - authorization: the value of the field of that name.
  ///   - isSafe: nobody else can read the connection: it is encrypted, or does not leave this host.
  /// - Throws: `Unauthenticated`, with what would be right.
  init(
    authorization: String, by caller: Caller, isSafe: Bool, in catalogue: Catalogue
  ) throws(RPCError) {
    let text = try Self.token(in: authorization)
    guard isSafe else {
      throw RPCError(
        .unauthenticated,
        "a token is taken inside TLS or from this host alone: this one could have been read on its way, so replace it"
      )
    }
    guard let digest = TokenDigest(bearer: text) else {
      throw RPCError(.unauthenticated, "a token is 32 bytes in base64: openssl rand -base64 32 makes one")
    }
    token = digest
    self.caller = try caller.presenting(token, in: catalogue)
    access = Access(catalogue: catalogue, identities: self.caller.identities(in: catalogue))
  }

  /// Who a request's token names, nil where it has none.
  ///
  /// - Parameter known: the connection's last one, which most requests repeat.
  static func named(
    by authorization: String?, on connection: ServerConnection, known: inout TokenCaller?
  ) throws(RPCError) -> TokenCaller? {
    guard let authorization else { return nil }
    let catalogue = connection.host.catalogue
    if let known, known.isNamed(by: authorization, in: catalogue) { return known }
    // The only filter that there is encrypts.
    let isSafe = connection.socket.filter != nil || connection.caller.peer.isLoopback
    let named = try TokenCaller(
      authorization: authorization, by: connection.caller, isSafe: isSafe, in: catalogue)
    known = named
    connection.socket.isStranger = false
    return named
  }

  /// The token of `Bearer TOKEN` (RFC 6750, section 2.1).
  static func token(in authorization: String) throws(RPCError) -> Substring {
    let words = authorization.split(separator: " ")
    guard words.count == 2, words[0].lowercased() == "bearer" else {
      throw RPCError(.unauthenticated, "the field 'authorization' is not 'Bearer TOKEN'")
    }
    return words[1]
  }

  func allows(service: Int, in catalogue: Catalogue) -> Bool {
    if access.edition != catalogue.edition {
      access = Access(catalogue: catalogue, identities: caller.identities(in: catalogue))
    }
    return access.allows(service: service)
  }

  /// Whether a later request of the connection has the same token, which is still a client's.
  func isNamed(by authorization: String, in catalogue: Catalogue) -> Bool {
    guard access.edition == catalogue.edition, let text = try? Self.token(in: authorization) else {
      return false
    }
    return TokenDigest(bearer: text) == token
  }
}
