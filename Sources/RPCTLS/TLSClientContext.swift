internal import COpenSSL
internal import Glibc
package import RPCKeys
internal import RPCSystem

/// How a client knows a server.
package enum ServerTrust: Hashable, Sendable {
  /// By its key, whatever name and dates its certificate has.
  case pin(CertificatePin)
  /// By a certificate that one of these authorities, as PEM, has signed for its name or address.
  case authorities(String)
}

/// What the connections of a client share that trust in the same way.
///
/// `@unchecked Sendable`: the context is not changed after `init`, and is counted and locked by OpenSSL itself.
package final class TLSClientContext: @unchecked Sendable {
  private let context: OpaquePointer
  private let trust: ServerTrust
  /// The session that goes on best with each server, by its address: the server's certificate was looked at when it began.
  private let sessions = TLSSessions()

  private struct Key: Hashable {
    var trust: ServerTrust
    var identity: TLSIdentity?
  }

  /// What our clients speak inside.
  package static let applicationProtocol = "simplerpc/1"
  private static let known = Lock<[Key: TLSClientContext]>([:])

  /// The context for a trust, made once.
  ///
  /// - Parameter identity: what the client shows of itself, where it is asked.
  /// - Throws: `TLSError` where the authorities cannot be read.
  package static func context(
    for trust: ServerTrust, as identity: TLSIdentity? = nil
  ) throws(TLSError) -> TLSClientContext {
    let key = Key(trust: trust, identity: identity)
    if let found = known.withLock({ $0[key] }) { return found }
    let made = try TLSClientContext(trust, identity)
    known.withLock { known in
      if known.count >= TLSLimits.contextsMax { known.removeAll() }
      known[key] = made
    }
    return made
  }

  private init(_ trust: ServerTrust, _ identity: TLSIdentity?) throws(TLSError) {
    guard let context = rpc_tls_context(0) else { throw .noMemory }
    self.context = context
    self.trust = trust
    if case .authorities(let text) = trust {
      let pem = Array(text.utf8)
      guard rpc_tls_trust(context, pem, pem.count, 0) == 1 else {
        throw TLSError(
          "the network's 'ca' holds no certificates: \(OpenSSLErrors.take() ?? "no reason told")")
      }
    }
    try identity?.install(in: context)
    SSL_CTX_sess_set_new_cb(context) { ssl, session in
      guard let ssl, let session, let filter = TLSFilter.of(ssl), let key = filter.sessionKey else {
        return 0
      }
      // The session is the keeper's from now on.
      (filter.context as? TLSClientContext)?.sessions.keep(session, for: key)
      return 1
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    SSL_CTX_set_cert_verify_callback(
      context,
      { store, this in
        guard let store, let this else { return 0 }
        return Unmanaged<TLSClientContext>.fromOpaque(this).takeUnretainedValue().verify(store) ? 1 : 0
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit { SSL_CTX_free(context) }

  /// The filter of one connection to `host`, an address or a name. It begins to speak when there is something to send, and
  /// goes on with the last session where the server agrees.
  package func makeFilter(host: String, isAddress: Bool, port: Int = 0) throws(TLSError) -> TLSFilter {
    guard let ssl = SSL_new(context) else { throw .noMemory }
    let name = [UInt8(Self.applicationProtocol.utf8.count)] + Array(Self.applicationProtocol.utf8)
    SSL_set_alpn_protos(ssl, name, UInt32(name.count))
    if isAddress {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
    } else {
      // The final dot of a complete name is none of a certificate's names (RFC 6066, section 3).
      let name = host.hasSuffix(".") ? String(host.dropLast()) : host
      rpc_tls_set_server_name(ssl, name)
      SSL_set1_host(ssl, name)
    }
    let key = "\(host) \(port)"
    sessions.resume(key, on: ssl)
    let filter = try TLSFilter(ssl, of: self, isServer: false)
    filter.sessionKey = key
    return filter
  }

  /// The handshake of a connection failed: what it went on with may be why.
  internal func forgetSession(_ key: String) { sessions.forget(key) }

  private func verify(_ store: OpaquePointer) -> Bool {
    guard let certificate = X509_STORE_CTX_get0_cert(store), let found = CertificatePin(of: certificate)
    else {
      return false
    }
    let refusal: String
    switch trust {
    case .pin(let pin):
      if pin == found {
        X509_STORE_CTX_set_error(store, X509_V_OK)
        return true
      }
      X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED)
      refusal =
        "it has the certificate \(found), expected was \(pin): another server may be answering in its place. If it "
        + "was set up again on purpose, its 'certificate' is now '\(found)'"
    case .authorities:
      if X509_verify_cert(store) == 1 { return true }
      let reason = String(cString: X509_verify_cert_error_string(Int(X509_STORE_CTX_get_error(store))))
      refusal = "the network's 'ca' does not vouch for its certificate (\(reason)); its pin is '\(found)'"
    }
    if let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()) {
      TLSFilter.of(OpaquePointer(ssl))?.refusal = refusal
    }
    return false
  }
}
