internal import RPCNetwork

extension ServerOptions {
  /// Whether a text may be one of `allowedHosts`.
  package static func isHost(_ text: String) -> Bool { HostName.isValid(text) }

  /// Whether a text may be one of `allowedOrigins`: a scheme, a host, and a port where it is not the scheme's own.
  package static func isOrigin(_ text: String) -> Bool {
    for scheme in ["http://", "https://"] where text.hasPrefix(scheme) {
      let rest = String(text.dropFirst(scheme.utf8.count))
      guard let name = BrowserGuard.name(of: rest) else { return false }
      return IPBlock.address(name) != nil || HostName.isValid(name)
    }
    return false
  }
}
