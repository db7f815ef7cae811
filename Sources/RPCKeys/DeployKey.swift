internal import Glibc

/// The key that a user deploys with and that this user's servers trust, unless they are given others:
/// `$XDG_CONFIG_HOME/simplerpc/deploy-key`, by default below `~/.config`, with its public half beside it.
package enum DeployKey {
  /// Where the private key is, or will be.
  ///
  /// - Throws: `KeyError` where the user has no home directory.
  package static func path() throws(KeyError) -> String {
    try path(configHome: variable("XDG_CONFIG_HOME"), home: variable("HOME"), passwordHome: passwordHome)
  }

  /// The XDG specification says that relative paths are to be ignored.
  static func path(
    configHome: String?, home: String?, passwordHome: () -> String?
  ) throws(KeyError) -> String {
    func absolute(_ path: String?) -> String? { path?.hasPrefix("/") == true ? path : nil }
    if let folder = absolute(configHome) { return "\(folder)/simplerpc/deploy-key" }
    guard let home = absolute(home) ?? absolute(passwordHome()) else {
      throw KeyError("user \(geteuid()) has no home directory to keep a deploy key in")
    }
    return "\(home)/.config/simplerpc/deploy-key"
  }

  /// What a deployment is made with: the key that was named by option or environment, else the user's own.
  ///
  /// - Returns: the key, and the file that it is in.
  package static func chosen(_ named: String?) throws(KeyError) -> (key: PrivateKey, path: String) {
    if let path = KeyFile.chosenPath(named) { return (try KeyFile.privateKey(at: path), path) }
    return (try own(), try path())
  }

  /// The user's own key, made at first use.
  ///
  /// - Throws: `KeyError` where it cannot be read or made, with what to do instead.
  package static func own() throws(KeyError) -> PrivateKey {
    do {
      let path = try path()
      try makeFolder(of: path)
      return try KeyFile.ownKey(at: path, comment: "deploys as \(userName)")
    } catch {
      throw KeyError("cannot use the deploy key: \(error); --key FILE names another one")
    }
  }

  /// The user's own key, nil where none was made yet or could be.
  ///
  /// - Throws: `KeyError` where it is there and cannot be used.
  package static func existing() throws(KeyError) -> PrivateKey? {
    guard let path = try? path(), access(path, F_OK) == 0 else { return nil }
    return try KeyFile.privateKey(at: path)
  }

  /// What servers of this user trust now.
  ///
  /// - Throws: `KeyError` where there is none yet, or somebody else could have written it.
  package static func trusted() throws(KeyError) -> Set<PublicKey> {
    try trusted(at: path() + ".pub")
  }

  static func trusted(at path: String) throws(KeyError) -> Set<PublicKey> {
    var status = stat()
    guard stat(path, &status) == 0 else {
      guard errno == ENOENT else {
        throw KeyError("'\(path)' cannot be read: \(String(cString: strerror(errno)))")
      }
      throw KeyError("user '\(userName)' has no deploy key yet (\(path))")
    }
    // A server that was started with another user's HOME would trust that user.
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw KeyError("\(path) belongs to another user than '\(userName)', as whom the server runs")
    }
    let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    guard stat(folder, &status) == 0, status.st_mode & 0o022 == 0 else {
      throw KeyError("\(folder) may be written by others than its owner: chmod go-w '\(folder)'")
    }
    return try KeyFile.publicKeys(at: path)
  }

  /// For messages: the name of the user that this process acts as.
  package static var userName: String {
    entry { String(cString: $0.pw_name) } ?? "\(geteuid())"
  }

  private static func passwordHome() -> String? {
    entry { String(cString: $0.pw_dir) }
  }

  private static func entry<Result>(_ body: (passwd) -> Result) -> Result? {
    var record = passwd()
    var found: UnsafeMutablePointer<passwd>?
    // Room for every line of a password file that is not absurd.
    var buffer = [CChar](repeating: 0, count: 16 * 1024)
    guard getpwuid_r(geteuid(), &record, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
    return body(record)
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }

  /// `mkdir -p`, for the owner alone.
  private static func makeFolder(of path: String) throws(KeyError) {
    var made = ""
    for part in path.split(separator: "/").dropLast() {
      made += "/" + part
      guard mkdir(made, 0o700) == 0 || errno == EEXIST || access(made, X_OK) == 0 else {
        throw KeyError("cannot make \(made): \(String(cString: strerror(errno)))")
      }
    }
  }
}
