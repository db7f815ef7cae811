import RPCWire

/// Takes the entries of a map that came from outside one by one, and at the end insists that nothing is left.
/// Its errors say where in the document they are.
struct Fields {
  private var entries: [UTF8Key: Value]
  let place: String

  init(_ value: Value, at place: String) throws(DeploymentError) {
    guard case .map(let entries) = value else {
      throw DeploymentError(.malformed, "\(place) is not a map")
    }
    // Decoding has refused duplicate keys already; a value built by hand keeps its first.
    self.entries = Dictionary(
      entries.map { (UTF8Key($0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
    self.place = place
  }

  /// Decodes the map of a whole document and takes its version.
  ///
  /// - Parameters:
  ///   - name: of the document; its version is its first entry, `simplerpc_` and the name.
  ///   - version: the one that is read.
  ///   - limit: bytes that it may have.
  init(
    encoded bytes: [UInt8], _ name: String, version: Int64, limit: Int
  ) throws(DeploymentError) {
    self = try Fields(encoded: bytes, name, limit: limit)
    let found = try integer("simplerpc_\(name)")
    guard found == version else { throw Self.otherRelease(name, found, version) }
  }

  init(encoded bytes: [UInt8], _ name: String, limit: Int) throws(DeploymentError) {
    guard bytes.count <= limit else {
      throw DeploymentError(.tooLarge, "a \(name) of \(bytes.count) bytes, the limit is \(limit)")
    }
    let value: Value
    do throws(WireError) {
      value = try Value(messagePack: bytes)
    } catch {
      throw DeploymentError(.malformed, "the \(name) is not readable: \(error)")
    }
    try self.init(value, at: name)
  }

  static func otherRelease(_ name: String, _ found: Int, _ version: Int64) -> DeploymentError {
    DeploymentError(
      .malformed,
      "the \(name) has format \(found), this program reads \(version): use programs of one release")
  }

  mutating func optional<Result>(
    _ key: String, _ kind: String, _ convert: (Value) -> Result?
  ) throws(DeploymentError) -> Result? {
    guard let value = entries.removeValue(forKey: UTF8Key(key)) else { return nil }
    guard let result = convert(value) else {
      throw DeploymentError(.malformed, "\(place).\(key) is not \(kind)")
    }
    return result
  }

  mutating func required<Result>(
    _ key: String, _ kind: String, _ convert: (Value) -> Result?
  ) throws(DeploymentError) -> Result {
    guard let result = try optional(key, kind, convert) else {
      throw DeploymentError(.malformed, "\(place).\(key) is missing")
    }
    return result
  }

  mutating func string(_ key: String) throws(DeploymentError) -> String {
    try required(key, "a string", \.stringValue)
  }

  mutating func integer(_ key: String) throws(DeploymentError) -> Int {
    try required(key, "an integer") { $0.intValue.flatMap { Int(exactly: $0) } }
  }

  mutating func port(_ key: String) throws(DeploymentError) -> UInt16? {
    try optional(key, "a port") { $0.intValue.flatMap { UInt16(exactly: $0) }.flatMap { $0 == 0 ? nil : $0 } }
  }

  mutating func strings(_ key: String, limit: Int) throws(DeploymentError) -> [String] {
    try list(key, limit: limit) { value, place throws(DeploymentError) in
      guard let text = value.stringValue else {
        throw DeploymentError(.malformed, "\(place) is not a string")
      }
      return text
    }
  }

  mutating func list<Result>(
    _ key: String, limit: Int, _ convert: (Value, String) throws(DeploymentError) -> Result
  ) throws(DeploymentError) -> [Result] {
    let values = try required(key, "a list", \.listValue)
    guard values.count <= limit else {
      throw DeploymentError(.tooLarge, "\(place).\(key) has \(values.count) entries, the limit is \(limit)")
    }
    var results: [Result] = []
    results.reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      results.append(try convert(value, "\(place).\(key)[\(index)]"))
    }
    return results
  }

  /// Nothing may be left: a key that is not understood may be a limit that would not be enforced.
  func finish() throws(DeploymentError) {
    if let key = entries.keys.min() {
      throw DeploymentError(.malformed, "\(place) has an unknown key '\(key.text.prefix(64))'")
    }
  }
}
