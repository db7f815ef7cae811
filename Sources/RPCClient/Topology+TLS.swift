package import RPCNetwork
internal import RPCTLS
package import RPCTransport
package import RPCWire

extension Topology.Server {
  /// How the server's certificate is known; nil for a server that is spoken to plainly. The pin goes first: it says more.
  private var trust: ServerTrust? {
    certificate.map { .pin($0) } ?? authorities.map { .authorities($0) }
  }

  /// What encrypts a connection to the server; nil where it is spoken to plainly.
  ///
  /// - Parameter certificate: the client's own.
  package func makeFilter(as certificate: OwnCertificate? = nil) throws(RPCError) -> (any ByteFilter)? {
    guard let trust else { return nil }
    do throws(TLSError) {
      return try TLSClientContext.context(for: trust, as: certificate?.identity)
        .makeFilter(host: host, isAddress: IPBlock.address(host) != nil, port: Int(port))
    } catch {
      throw RPCError(.failedPrecondition, "\(error): \(label)", executed: .no)
    }
  }
}
