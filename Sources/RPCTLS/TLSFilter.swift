internal import COpenSSL
internal import Glibc
package import RPCTransport
package import RPCWire

/// TLS 1.3 around one connection: OpenSSL between the socket's bytes and the handler's, over queues that are ours. It does
/// no input or output of its own, on whatever side it is.
package final class TLSFilter: ByteFilter {
  private let ssl: OpaquePointer
  private let pipe: UnsafeMutablePointer<rpc_tls_pipe>
  /// What made it, which OpenSSL's callbacks use.
  internal let context: AnyObject
  /// What a client's sessions are kept under.
  internal var sessionKey: String?
  private let isServer: Bool
  private var hasReceived = false
  private var failure: FilterFailure?
  /// Why the peer's certificate is not taken: better words than OpenSSL's.
  internal var refusal: String?

  /// The handshake is over.
  package private(set) var isEstablished = false
  package private(set) var peerHasEnded = false
  package private(set) var applicationProtocol: String?
  package private(set) var channelBinding: [UInt8] = []
  /// Who is at the other end, where it has shown a certificate.
  package private(set) var peer: TLSPeer?

  /// The most that one record carries (RFC 8446, section 5.1).
  private static let recordBytesMax = 16 * 1024
  /// How much is read at once where it is unknown how much there is.
  private static let readBytes = 4 * 1024

  /// - Parameter ssl: is the filter's from now on.
  internal init(_ ssl: OpaquePointer, of context: AnyObject, isServer: Bool) throws(TLSError) {
    self.ssl = ssl
    self.context = context
    self.isServer = isServer
    pipe = .allocate(capacity: 1)
    pipe.initialize(
      to: rpc_tls_pipe(input: nil, input_left: 0, output: nil) { queue, bytes, count in
        guard let queue, let bytes else { return }
        let span = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: bytes, count: count))
        queue.assumingMemoryBound(to: ByteQueue.self).pointee.append(span)
      })
    guard let bio = rpc_tls_bio(pipe) else { throw .noMemory }
    SSL_set_bio(ssl, bio, bio)
    SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    if isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
  }

  deinit {
    // Without it the session would count as broken, and could not be resumed.
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
    SSL_free(ssl)
    pipe.deallocate()
  }

  /// The filter that a callback of OpenSSL's is about.
  internal static func of(_ ssl: OpaquePointer) -> TLSFilter? {
    SSL_get_ex_data(ssl, 0).map { Unmanaged<TLSFilter>.fromOpaque($0).takeUnretainedValue() }
  }

  package var heldBytes: Int { isEstablished ? TLSLimits.connectionBytes : TLSLimits.handshakeBytes }

  // MARK: Receiving

  package func receive(
    _ bytes: RawSpan, into plain: inout ByteQueue, answering wire: inout ByteQueue
  ) throws(FilterFailure) {
    if let failure { throw failure }
    guard !peerHasEnded else { return }
    try checkFirst(bytes)
    do throws(FilterFailure) {
      try bytes.withUnsafeBytes { bytes throws(FilterFailure) in
        pipe.pointee.input = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        pipe.pointee.input_left = bytes.count
        defer {
          pipe.pointee.input = nil
          pipe.pointee.input_left = 0
        }
        try withOutput(&wire) { () throws(FilterFailure) in try read(into: &plain) }
      }
    } catch {
      failure = error
      throw error
    }
  }

  /// A server that answers a handshake with a line of text is the most frequent mistake.
  private func checkFirst(_ bytes: RawSpan) throws(FilterFailure) {
    guard !hasReceived, bytes.byteCount > 0 else { return }
    hasReceived = true
    let kind = unsafe bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
    // An alert or a handshake (RFC 8446, section 5.1).
    guard !isServer, kind != 21, kind != 22 else { return }
    let text = bytes.withUnsafeBytes { Array($0.prefix(Self.shownBytesMax)) }
    // A line of JSON only says the same once more.
    let shown =
      text.first != UInt8(ascii: "{")
      && text.allSatisfy { (0x20..<0x7f).contains($0) || $0 == 0x0a || $0 == 0x0d }
    let line = String(decoding: text.prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self)
    let error = FilterFailure(
      "no TLS is spoken on this port, which its 'certificate' or the network's 'ca' in init.yaml asks for"
        + (shown && !line.isEmpty ? ": it answered \"\(line)\"" : ""))
    failure = error
    throw error
  }

  /// As much of a foreign answer as is shown, in bytes.
  private static let shownBytesMax = 200

  private func read(into plain: inout ByteQueue) throws(FilterFailure) {
    guard try handshake() else { return }
    while true {
      ERR_clear_error()
      var count = 0
      var status: Int32 = 0
      let wanted = max(
        Int(SSL_pending(ssl)), min(pipe.pointee.input_left, Self.recordBytesMax), Self.readBytes)
      plain.fill(upTo: wanted) { buffer in
        status = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
        return status == 1 ? count : 0
      }
      // Where nothing is left another look would find only that.
      if status == 1 {
        guard pipe.pointee.input_left > 0 || SSL_has_pending(ssl) == 1 else { return }
        continue
      }
      switch SSL_get_error(ssl, status) {
      case SSL_ERROR_WANT_READ: return
      case SSL_ERROR_ZERO_RETURN:
        peerHasEnded = true
        return
      default: throw broken("TLS")
      }
    }
  }

  /// Goes on with the handshake; whether it is over.
  private func handshake() throws(FilterFailure) -> Bool {
    if isEstablished { return true }
    ERR_clear_error()
    let status = SSL_do_handshake(ssl)
    guard status == 1 else {
      if SSL_get_error(ssl, status) == SSL_ERROR_WANT_READ { return false }
      if let sessionKey { (context as? TLSClientContext)?.forgetSession(sessionKey) }
      throw broken("the TLS handshake failed")
    }
    isEstablished = true
    established()
    return true
  }

  private func broken(_ what: String) -> FilterFailure {
    let reason = OpenSSLErrors.take()
    if let refusal { return FilterFailure(refusal, isRefusal: true) }
    return FilterFailure("\(what): \(reason ?? "no reason told")")
  }

  private func established() {
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &name, &count)
    if let name, count > 0 {
      applicationProtocol = String(
        decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }
    // tls-exporter (RFC 9266, section 4.2).
    var binding = [UInt8](repeating: 0, count: 32)
    let label = "EXPORTER-Channel-Binding"
    if SSL_export_keying_material(ssl, &binding, binding.count, label, label.utf8.count, nil, 0, 1) == 1 {
      channelBinding = binding
    }
    guard isServer, let certificate = SSL_get0_peer_certificate(ssl) else { return }
    // A resumed session carries the result of its first handshake, and may be older than the certificate's end.
    let isVerified = SSL_get_verify_result(ssl) == Int(X509_V_OK) && rpc_tls_is_expired(certificate) == 0
    peer = TLSPeer(certificate, isVerified: isVerified)
  }

  /// Whether this session goes on with an earlier one.
  package var isResumed: Bool { SSL_session_reused(ssl) != 0 }

  // MARK: Sending

  package func send(_ plain: inout ByteQueue, into wire: inout ByteQueue) {
    guard failure == nil else { return }
    do throws(FilterFailure) {
      try withOutput(&wire) { () throws(FilterFailure) in
        guard try handshake() else { return }
        try write(&plain)
      }
    } catch {
      failure = error
    }
  }

  private func write(_ plain: inout ByteQueue) throws(FilterFailure) {
    var left = TLSLimits.wireBytesMax
    while !plain.isEmpty, left > 0 {
      ERR_clear_error()
      var count = 0
      let status = plain.withReadable {
        SSL_write_ex(ssl, $0.baseAddress, min($0.count, Self.recordBytesMax), &count)
      }
      guard status == 1 else { throw broken("TLS") }
      plain.consume(count)
      left -= count
    }
  }

  package func end(into wire: inout ByteQueue) {
    guard isEstablished, failure == nil else { return }
    withOutput(&wire) {
      ERR_clear_error()
      // It says close_notify; the peer's is not waited for.
      _ = SSL_shutdown(ssl)
    }
  }

  package func inputEnded(isMidway: Bool) throws(FilterFailure) {
    if let failure { throw failure }
    guard !peerHasEnded else { return }
    guard isEstablished else { throw FilterFailure("the connection ended within the TLS handshake") }
    // Between requests an end without close_notify cuts nothing off, and many do without it.
    guard !isMidway, SSL_has_pending(ssl) == 0 else {
      throw FilterFailure("the connection was cut off: it ended within a message, without TLS's close_notify")
    }
  }

  /// Runs `body` while OpenSSL writes to `wire`.
  private func withOutput<Failure: Error>(
    _ wire: inout ByteQueue, _ body: () throws(Failure) -> Void
  ) throws(Failure) {
    try withUnsafeMutablePointer(to: &wire) { queue throws(Failure) in
      pipe.pointee.output = UnsafeMutableRawPointer(queue)
      defer { pipe.pointee.output = nil }
      try body()
    }
  }
}
