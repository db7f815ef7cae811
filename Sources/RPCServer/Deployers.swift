internal import RPCKeys
internal import RPCSystem
internal import RPCWire

/// Those who may deploy, and so run code here: those that prove a key of the file that the server was given, or without
/// one the deploy key of the user that the server runs as. Where somebody is gives no right.
internal final class Deployers: Sendable {
  private struct State {
    var file: String?
    var keys: Set<PublicKey> = []
  }

  private let state: Lock<State>

  /// - Parameter file: public keys, one a line. With one nobody may deploy before `load`.
  init(file: String?) { state = Lock(State(file: file)) }

  private var file: String? { state.withLock(\.file) }

  /// Reads the file, where there is one; how many keys it has.
  ///
  /// - Throws: `KeyError`, and all is as before.
  @discardableResult
  func load() throws(KeyError) -> Int? { try load(from: file) }

  /// Reads another file than before; nil is none.
  @discardableResult
  func load(from file: String?) throws(KeyError) -> Int? {
    let found = try file.map { (file) throws(KeyError) in try KeyFile.publicKeys(at: file) }
    state.withLock { $0 = State(file: file, keys: found ?? []) }
    return found?.count
  }

  /// Whether there is a file.
  var areListed: Bool { file != nil }

  /// Whether the caller has proven a key that may deploy.
  func contains(_ caller: Caller) -> Bool {
    caller.key.map(contains) ?? false
  }

  /// Whether a certificate is of a key that may deploy.
  func contains(_ pin: CertificatePin) -> Bool {
    (try? trusted())?.contains { $0.certificatePin == pin } ?? false
  }

  /// Whether the owner of a key may deploy now.
  func contains(_ key: PublicKey) -> Bool { (try? trusted())?.contains(key) ?? false }

  /// The keys that count now. The user's own is read each time: the server may have been started before it
  /// was made, and one that was removed counts for nobody any more.
  private func trusted() throws(KeyError) -> Set<PublicKey> {
    let (file, keys) = state.withLock { ($0.file, $0.keys) }
    return file == nil ? try DeployKey.trusted() : keys
  }

  /// - Throws: `Unauthenticated`, with what would be needed.
  func check(_ caller: Caller) throws(RPCError) {
    let trusted: Set<PublicKey>
    do {
      trusted = try self.trusted()
    } catch {
      // Paths of this server are nobody's business elsewhere.
      let reason = caller.isOwnHost ? "\(error)" : "it knows no key that may"
      throw RPCError(.unauthenticated, "nobody may deploy to this server: \(reason)\(Self.hint)")
    }
    guard let key = caller.key else {
      throw RPCError(
        .unauthenticated,
        "a key is needed to deploy to this server, one that it knows\(file == nil ? Self.hint : "")")
    }
    guard !trusted.contains(key) else { return }
    let owner =
      file == nil ? ", which trusts the deploy key of its own user '\(DeployKey.userName)'\(Self.hint)" : ""
    throw RPCError(
      .unauthenticated, "the key \(key.fingerprint) is not among those that may deploy to this server\(owner)"
    )
  }

  private static let hint =
    "; start it with --deployers FILE, where FILE has the public key that 'initializer key' prints"
}
