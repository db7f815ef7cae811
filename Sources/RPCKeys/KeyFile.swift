internal import Glibc
internal import RPCWire

/// Reads keys from files.
public enum KeyFile {
  /// A key file is some hundred bytes, a list of them some more.
  package static let byteCountMax = 1024 * 1024

  /// The variable of the environment that names the private key's file.
  package static let variable = "RPC_KEY"

  /// The private key that a program was told to use: by its own option, else by the environment; nil for none.
  public static func chosenPrivateKey(_ path: String?) throws(KeyError) -> PrivateKey? {
    try chosenPrivateKey(path, environment: getenv(variable).map { String(cString: $0) })
  }

  static func chosenPrivateKey(_ path: String?, environment: String?) throws(KeyError) -> PrivateKey? {
    guard let path = chosenPath(path, environment: environment) else { return nil }
    return try privateKey(at: path)
  }

  /// The file that `chosenPrivateKey` reads.
  package static func chosenPath(_ path: String?) -> String? {
    chosenPath(path, environment: getenv(variable).map { String(cString: $0) })
  }

  private static func chosenPath(_ path: String?, environment: String?) -> String? {
    // An empty variable is how a shell unsets one for a single command.
    path ?? environment.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The private key in a file that only its owner may read.
  public static func privateKey(at path: String) throws(KeyError) -> PrivateKey {
    let (text, mode) = try read(path)
    let key: PrivateKey
    do {
      key = try PrivateKey(parsing: text)
    } catch {
      throw KeyError("\(path): \(error.message)")
    }
    guard mode & 0o077 == 0 else {
      throw KeyError("\(path) may be read by others than its owner: chmod 600 '\(path)'")
    }
    return key
  }

  /// The public keys of a file, one a line; empty lines and those that begin with `#` are passed over. Whoever may
  /// write to the file could add a key, so that must be its owner alone.
  package static func publicKeys(at path: String) throws(KeyError) -> Set<PublicKey> {
    let (text, mode) = try read(path)
    guard mode & 0o022 == 0 else {
      throw KeyError("\(path) may be written by others than its owner: chmod go-w '\(path)'")
    }
    var keys: Set<PublicKey> = []
    // CR LF is one character here, and no LF.
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      guard let first = line.first(where: { !$0.isWhitespace }), first != "#" else { continue }
      do {
        keys.insert(try PublicKey(parsing: String(line)))
      } catch {
        throw KeyError("\(path):\(index + 1): \(error.message)")
      }
    }
    return keys
  }

  private static func read(_ path: String) throws(KeyError) -> (text: String, mode: mode_t) {
    // A pipe that nobody writes to must not hold up the program that opens it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw unreadable(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unreadable(path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw KeyError("'\(path)' is not a file") }
    guard status.st_size <= byteCountMax else {
      throw KeyError("\(path) has \(status.st_size) bytes, a file of keys has at most \(byteCountMax)")
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(path) }
      if count == 0 { break }
      bytes += buffer[..<count]
      guard bytes.count <= byteCountMax else { throw KeyError("\(path) grows while it is read") }
    }
    return (String(decoding: bytes, as: UTF8.self), status.st_mode)
  }

  private static func unreadable(_ path: String) -> KeyError {
    KeyError("'\(path)' cannot be read: \(String(cString: strerror(errno)))")
  }
}
