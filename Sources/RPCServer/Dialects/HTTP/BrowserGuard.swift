internal import HTTPTypes
internal import RPCNetwork
internal import RPCWire

/// What keeps pages of others from calling procedures by way of a browser. A browser reaches loopback and the local
/// network, and here an address is an identity: whatever a page can send without asking must not be executed.
///
/// - A page of another origin is known by `Origin`, and by `Sec-Fetch-Site` where the browser sends no `Origin`.
/// - A page whose own name was made to lead here (DNS rebinding) is known by `Host`: only an IP address, `localhost` and
///   names that are this server's are taken.
/// - What no page can send without asking is left: see `ContentType.isSimple`.
internal struct BrowserGuard: Sendable {
  /// Names of this server, in lower case, besides IP addresses and `localhost`. As in a certificate `*` may stand for the
  /// first label (RFC 6125, section 6.4.3).
  private let hosts: Set<String>
  /// Origins whose pages may call, as browsers write them.
  private let origins: Set<String>

  init(hosts: some Sequence<String>, origins: some Sequence<String>) {
    self.hosts = Set(hosts.map { HostName.canonical($0) })
    self.origins = Set(origins.map { $0.lowercased() })
  }

  /// Whether a request's `Host`, or `:authority`, leads here by right.
  ///
  /// - Parameter host: with or without a port.
  func takes(host: String) -> Bool {
    guard let name = Self.name(of: host) else { return false }
    if Self.isAddress(name) || HostName.isLocalhost(name) { return true }
    guard HostName.isValid(name) else { return false }
    let canonical = HostName.canonical(name)
    if hosts.contains(canonical) { return true }
    return canonical.firstIndex(of: ".").map { hosts.contains("*" + canonical[$0...]) } ?? false
  }

  /// The host without its port; nil where it is no host.
  static func name(of host: String) -> String? {
    var name = host[...]
    if host.hasPrefix("[") {
      guard let end = host.firstIndex(of: "]") else { return nil }
      name = host[host.index(after: host.startIndex)..<end]
      let rest = host[host.index(after: end)...]
      guard rest.isEmpty || rest.first == ":" && isPort(rest.dropFirst()) else { return nil }
      return name.contains(":") ? String(name) : nil
    }
    if let colon = host.firstIndex(of: ":") {
      guard isPort(host[colon...].dropFirst()) else { return nil }
      name = host[..<colon]
    }
    return name.isEmpty ? nil : String(name)
  }

  private static func isPort(_ text: Substring) -> Bool {
    text.utf8.count <= 5 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }

  private static func isAddress(_ name: String) -> Bool { IPBlock.address(name) != nil }

  /// What is said of a `Host` that is not this server's.
  static func refusal(ofHost host: String) -> HTTPRefusal {
    let name = name(of: host) ?? host
    return HTTPRefusal(
      .forbidden, .permissionDenied,
      "'\(host.prefix(64))' is not a name of this server: use its address, or start it with --allow-host \(name.prefix(64))"
    )
  }

  /// Whether a page may ask for this, by what its browser tells.
  ///
  /// - Parameters:
  ///   - origin: `Origin`.
  ///   - site: `Sec-Fetch-Site`.
  ///   - host: `Host`, which is this server's: a page of this origin may.
  /// - Returns: the origin to name in `Access-Control-Allow-Origin`, where one was opened deliberately.
  /// - Throws: where the page is another's.
  func check(origin: String?, site: String?, host: String) throws(HTTPRefusal) -> String? {
    if let origin {
      if origins.contains(origin.lowercased()) { return origin }
      let own =
        origin.hasPrefix("http://")
        ? origin.dropFirst(7) : origin.hasPrefix("https://") ? origin.dropFirst(8) : ""
      guard !own.isEmpty, own.lowercased() == host.lowercased() else {
        throw HTTPRefusal(
          .forbidden, .permissionDenied,
          "the origin '\(origin.prefix(64))' may not call this server from a browser: start it with --allow-origin to let it"
        )
      }
    }
    switch site?.lowercased() {
    case nil, "same-origin", "none": return nil
    default:
      throw HTTPRefusal(
        .forbidden, .permissionDenied,
        "a page of another origin may not call this server from a browser: start it with --allow-origin to let it"
      )
    }
  }
}
