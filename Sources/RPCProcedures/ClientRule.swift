public import RPCWire

/// A client of `network.clients`: the name, and the addresses and the key it is known by.
public struct ClientRule: Hashable, Sendable {
  @ComparedByUTF8 public var name: String
  /// The network's address: 4 or 16 bytes, nil for any.
  public var network: [UInt8]?
  /// How many leading bits of `network` count.
  public var prefixLength: Int
  /// The registered source port, or nil for any.
  public var port: Int?
  /// The Ed25519 public key that it must have proven, or nil for none.
  public var key: [UInt8]?

  public init(
    name: String, network: [UInt8]?, prefixLength: Int, port: Int?, key: [UInt8]? = nil
  ) {
    self.name = name
    self.network = network
    self.prefixLength = prefixLength
    self.port = port
    self.key = key
  }

  /// Whether a connection from this address and port, whose peer has proven `key`, is this client's.
  public func matches(address: [UInt8], port: Int, key: [UInt8]?) -> Bool {
    (self.key == nil || self.key == key) && matches(address: address, port: port)
  }

  /// Whether a connection from this address and port may be this client's, whoever is at its end. An IPv4 address
  /// mapped into IPv6 must come as its 4 bytes.
  public func matches(address: [UInt8], port: Int) -> Bool {
    guard self.port == nil || self.port == port else { return false }
    guard let network else { return true }
    guard address.count == network.count else { return false }
    let whole = prefixLength / 8
    guard address.prefix(whole) == network.prefix(whole) else { return false }
    let bits = prefixLength % 8
    guard bits > 0 else { return true }
    let mask = UInt8(truncatingIfNeeded: 0xff << (8 - bits))
    return address[whole] & mask == network[whole] & mask
  }
}
