/// What `tenants` of a service may list.
package enum Tenant: Hashable, Sendable {
  /// A client; or a server, for the procedures of every service there.
  case name(String)
  /// The procedures of one service, on the servers that provide it.
  case service(String)

  private static let prefix = "service "

  package init(_ text: String) {
    guard text.hasPrefix(Self.prefix) else {
      self = .name(text)
      return
    }
    self = .service(String(text.dropFirst(Self.prefix.count).drop { $0 == " " }))
  }

  /// As it is written, in the one way that is compared.
  package var text: String {
    switch self {
    case .name(let name): name
    case .service(let name): Self.prefix + name
    }
  }
}
