internal import RPCKeys
internal import RPCTransport
internal import RPCWire

/// Those who may deploy, and so run code here: whoever proves a key of the file, or without one whoever is on this
/// host. Where there is a file, being on this host is not enough.
internal final class Deployers: Sendable {
  private let file: String?
  private let keys = Lock<Set<PublicKey>>([])

  /// - Parameter file: public keys, one a line. Nobody may deploy before `load`.
  init(file: String?) { self.file = file }

  /// Reads the file, where there is one; how many keys it has.
  ///
  /// - Throws: `KeyError`, and all is as before.
  @discardableResult
  func load() throws(KeyError) -> Int? {
    guard let file else { return nil }
    let found = try KeyFile.publicKeys(at: file)
    keys.withLock { $0 = found }
    return found.count
  }

  /// Whether there is a file.
  var areListed: Bool { file != nil }

  func include(_ caller: Caller) -> Bool {
    guard file != nil else { return caller.isOwnHost }
    return caller.key.map { key in keys.withLock { $0.contains(key) } } ?? false
  }

  /// - Throws: `Unauthenticated`, with what would be needed.
  func check(_ caller: Caller) throws(RPCError) {
    guard !include(caller) else { return }
    let message =
      if file == nil {
        "without --deployers this server takes deployments from its own host only, not from \(caller.peer)"
      } else if let key = caller.key {
        "the key \(key.fingerprint) is not among those that may deploy to this server"
      } else {
        "whoever deploys to this server must prove a key that it knows"
      }
    throw RPCError(.unauthenticated, message)
  }
}
