internal import COpenSSL
package import RPCKeys

/// Which clients' certificates a server asks for and takes.
package struct ClientTrust: Sendable {
  /// Certificates of authorities, as PEM; nil where none vouches for clients.
  package var authorities: [UInt8]?
  /// Whether clients are asked for a certificate, where no authority is given.
  package var asks: @Sendable () -> Bool
  /// Whether a key is known by itself, no matter who signed its certificate.
  package var knows: @Sendable (CertificatePin) -> Bool

  package init(
    authorities: [UInt8]? = nil, asks: @escaping @Sendable () -> Bool = { false },
    knows: @escaping @Sendable (CertificatePin) -> Bool = { _ in false }
  ) {
    self.authorities = authorities
    self.asks = asks
    self.knows = knows
  }
}

/// What all connections of a server share until its certificates change: immutable, used by all loops.
///
/// `@unchecked Sendable`: OpenSSL's contexts are not changed after `init`, and are counted and locked by OpenSSL itself.
package final class TLSServerContext: @unchecked Sendable {
  /// One for each certificate: the first serves clients that name no other.
  private let contexts: [OpaquePointer]
  private let certificates: [OpaquePointer]
  private let protocols: UnsafeMutableBufferPointer<UInt8>
  private let trust: ClientTrust
  private let ticketKeys: TicketKeys
  /// The certificates that are shown.
  package let pins: [CertificatePin]
  /// What they name.
  package let names: [String]

  /// - Parameters:
  ///   - identities: at least one; which is shown goes by the name that the client asks for.
  ///   - protocols: names of ALPN (RFC 7301), the dearest first.
  /// - Throws: `TLSError` where a certificate cannot be used.
  package init(
    identities: [TLSIdentity], protocols: [String], trust: ClientTrust, ticketKeys: TicketKeys
  ) throws(TLSError) {
    precondition(!identities.isEmpty, "a server shows a certificate")
    let offered = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    self.protocols = .allocate(capacity: offered.count)
    _ = self.protocols.initialize(from: offered)
    self.trust = trust
    self.ticketKeys = ticketKeys
    pins = identities.map(\.pin)
    names = identities.flatMap(\.names)
    var contexts: [OpaquePointer] = []
    var certificates: [OpaquePointer] = []
    var problem: TLSError?
    for identity in identities where problem == nil {
      guard let context = rpc_tls_context(1) else {
        problem = .noMemory
        break
      }
      contexts.append(context)
      do throws(TLSError) {
        try identity.install(in: context)
        if let authorities = trust.authorities {
          guard rpc_tls_trust(context, authorities, authorities.count, 1) == 1 else {
            throw TLSError(
              "the clients' authorities cannot be used: \(OpenSSLErrors.take() ?? "no reason told")")
          }
        }
        guard ticketKeys.install(in: context) else { throw .noMemory }
      } catch {
        problem = error
      }
      if let certificate = SSL_CTX_get0_certificate(context) { certificates.append(certificate) }
    }
    self.contexts = contexts
    self.certificates = certificates
    if let problem { throw problem }
    for context in contexts { setCallbacks(context) }
  }

  deinit {
    for context in contexts { SSL_CTX_free(context) }
    protocols.deallocate()
  }

  /// The filter of one connection.
  package func makeFilter() throws(TLSError) -> TLSFilter {
    guard let ssl = SSL_new(contexts[0]) else { throw .noMemory }
    let asks = trust.authorities != nil || trust.asks()
    SSL_set_verify(ssl, asks ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
    // A session that began under another trust is not resumed.
    let scope = sessionScope(asks: asks)
    SSL_set_session_id_context(ssl, scope, UInt32(scope.count))
    return try TLSFilter(ssl, of: self, isServer: true)
  }

  private func sessionScope(asks: Bool) -> [UInt8] {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in (trust.authorities ?? []) + [asks ? 1 : 0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return withUnsafeBytes(of: hash) { Array($0) }
  }

  private func setCallbacks(_ context: OpaquePointer) {
    let this = Unmanaged.passUnretained(self).toOpaque()
    SSL_CTX_set_alpn_select_cb(
      context,
      { _, name, count, offered, offeredCount, this in
        guard let this, let name, let offered else { return SSL_TLSEXT_ERR_NOACK }
        let ours = Unmanaged<TLSServerContext>.fromOpaque(this).takeUnretainedValue().protocols
        var chosen: UnsafeMutablePointer<UInt8>?
        guard
          SSL_select_next_proto(
            &chosen, count, ours.baseAddress, UInt32(ours.count), offered, offeredCount)
            == OPENSSL_NPN_NEGOTIATED
        else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        name.pointee = UnsafePointer(chosen)
        return SSL_TLSEXT_ERR_OK
      }, this)
    SSL_CTX_set_cert_verify_callback(
      context,
      { store, this in
        guard let store, let this else { return 0 }
        return Unmanaged<TLSServerContext>.fromOpaque(this).takeUnretainedValue().verify(store) ? 1 : 0
      }, this)
    guard contexts.count > 1 else { return }
    rpc_tls_set_server_name_callback(
      context,
      { ssl, _, this in
        guard let ssl, let this else { return SSL_TLSEXT_ERR_NOACK }
        Unmanaged<TLSServerContext>.fromOpaque(this).takeUnretainedValue().choose(ssl)
        return SSL_TLSEXT_ERR_OK
      }, this)
  }

  /// Shows the certificate of the name that the client asks for, where there is one.
  private func choose(_ ssl: OpaquePointer) {
    guard let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return }
    for (context, certificate) in zip(contexts, certificates)
    where X509_check_host(certificate, name, strlen(name), 0, nil) == 1 {
      _ = SSL_set_SSL_CTX(ssl, context)
      return
    }
  }

  /// Whether a client's certificate is taken: one that an authority vouches for, one whose key is known by itself, and
  /// where there is no authority any; it then says which key the client has, and nothing else.
  private func verify(_ store: OpaquePointer) -> Bool {
    if trust.authorities != nil, X509_verify_cert(store) == 1 { return true }
    if trust.authorities == nil {
      X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED)
      return true
    }
    guard let certificate = X509_STORE_CTX_get0_cert(store), let pin = CertificatePin(of: certificate),
      !trust.knows(pin)
    else {
      // Its names are nobody's word but its own.
      X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED)
      return X509_STORE_CTX_get0_cert(store) != nil
    }
    let error = X509_STORE_CTX_get_error(store)
    let index = SSL_get_ex_data_X509_STORE_CTX_idx()
    if let ssl = X509_STORE_CTX_get_ex_data(store, index) {
      let reason = String(cString: X509_verify_cert_error_string(Int(error)))
      TLSFilter.of(OpaquePointer(ssl))?.refusal =
        "the client's certificate \(pin) is not taken: \(reason)"
    }
    return false
  }
}
