internal import Glibc
internal import RPCSystem
package import RPCWire

/// A secret's name and what it is. Nothing prints it.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  package let name: String
  package let bytes: [UInt8]

  package init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }

  package var description: String { "secret '\(name)'" }
  package var customMirror: Mirror { Mirror(self, children: [:]) }

  /// Without the line break that editors and `echo` end a file with.
  package var withoutLineBreak: [UInt8] {
    var bytes = bytes
    if bytes.last == UInt8(ascii: "\n") {
      bytes.removeLast()
      if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    }
    return bytes
  }
}

/// Why the folder of the secrets cannot be used.
package struct SecretStoreError: Error, CustomStringConvertible {
  package var description: String
}

/// What a server keeps for its procedures and tells to nobody else: a folder with one file for each. It holds what was
/// read last, so that all that is started until the next reading gets the same.
package final class SecretStore: Sendable {
  /// Bytes of one secret.
  package static let bytesMax = 64 * 1024
  /// Files in the folder.
  package static let filesMax = 4096

  /// What begins the names of credentials of systemd that are secrets of services: those of
  /// /etc/simplerpc/secrets/services. Others are the server's own.
  package static let credentialPrefix = "secrets_services_"

  package let directory: String?
  /// Whether the folder is of systemd's making, which sees to it that the service alone can read it.
  private let isOfCredentials: Bool
  private let state = Lock(State())

  private struct State {
    var secrets: [String: Secret] = [:]
    /// Why a file is not used.
    var refused: [String: String] = [:]
  }

  /// - Parameters:
  ///   - directory: nil for none. What is in it counts once it was read.
  ///   - credentials: `$CREDENTIALS_DIRECTORY`, which counts where there is no other.
  package init(directory: String? = nil, credentials: String? = nil) {
    self.directory = directory ?? credentials
    isOfCredentials = directory == nil && credentials != nil
  }

  package static let none = SecretStore()

  /// Reads the folder.
  ///
  /// - Returns: how many secrets there are, and why files are not used, in the order of their names.
  /// - Throws: why the folder cannot be used, and then all is as before.
  @discardableResult
  package func load() throws(SecretStoreError) -> (count: Int, refusals: [String]) {
    guard let directory else { return (0, []) }
    let opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else {
      throw SecretStoreError(
        description: "the folder of the secrets '\(directory)' cannot be read: \(Self.lastError)")
    }
    let folder = Descriptor(opened)
    var status = stat()
    guard fstat(folder.raw, &status) == 0 else {
      throw SecretStoreError(description: "the folder of the secrets '\(directory)': \(Self.lastError)")
    }
    if !isOfCredentials, let problem = Self.problem(status, allowed: 0o700, directory) {
      throw SecretStoreError(description: "the folder of the secrets \(problem)")
    }
    var read = State()
    for file in try Self.names(in: folder, directory) {
      guard let name = name(of: file), Provision.isSecret(name) else { continue }
      switch self.read(file, as: name, in: folder, path: "\(directory)/\(file)") {
      case .success(let secret): read.secrets[name] = secret
      case .failure(let error): read.refused[name] = error.description
      }
    }
    let found = read
    state.withLock { $0 = found }
    return (found.secrets.count, found.refused.keys.sorted().compactMap { found.refused[$0] })
  }

  /// The secret that is in a file, nil for none.
  private func name(of file: String) -> String? {
    guard isOfCredentials else { return file }
    return file.hasPrefix(Self.credentialPrefix) ? String(file.dropFirst(Self.credentialPrefix.count)) : nil
  }

  /// Those of these names that there are, in order.
  package func secrets(named names: [String]) -> [Secret] {
    guard !names.isEmpty else { return [] }
    return state.withLock { state in names.compactMap { state.secrets[$0] } }
  }

  /// Why a service cannot have what it names, with what would have to be done; or nil.
  package func refusal(of provision: Provision, service: String) -> String? {
    guard !provision.secrets.isEmpty else { return nil }
    return state.withLock { state in
      guard let name = provision.secrets.first(where: { state.secrets[$0] == nil }) else { return nil }
      let start = "the service '\(service)' names the secret '\(name)', "
      guard let directory else {
        return
          "\(start)and this server keeps none: start it with --secrets DIR, a folder of mode 0700 with a file '\(name)' "
          + "of mode 0600"
      }
      if let why = state.refused[name] { return "\(start)but \(why)" }
      guard !isOfCredentials else {
        return
          "\(start)but systemd gave this server none of that name: put the file '\(name)' into "
          + "/etc/simplerpc/secrets/services, and restart the server"
      }
      return
        "\(start)but --secrets '\(directory)' has no file '\(name)': put it there with mode 0600, and send the server "
        + "SIGHUP"
    }
  }

  package func refusal(of procedure: Procedure) -> RPCError? {
    refusal(of: procedure.confinement.provision, service: procedure.signature.service).map {
      RPCError(.failedPrecondition, $0, source: procedure.sourceName)
    }
  }

  // MARK: The folder

  private static var lastError: String { String(cString: strerror(errno)) }

  /// Why others than the server's own user could read or change it.
  private static func problem(_ status: stat, allowed mode: mode_t, _ path: String) -> String? {
    let owner = status.st_uid
    guard owner == geteuid() else {
      return "'\(path)' belongs to another user (uid \(owner)): chown \(geteuid()) '\(path)'"
    }
    let octal = String(mode, radix: 8)
    return status.st_mode & 0o077 == 0
      ? nil : "'\(path)' is open to others than its owner: chmod \(octal) '\(path)'"
  }

  private static func names(
    in folder: borrowing Descriptor, _ path: String
  ) throws(SecretStoreError) -> [String] {
    // A stream owns its descriptor.
    let duplicate = fcntl(folder.raw, F_DUPFD_CLOEXEC, 0)
    guard let stream = fdopendir(duplicate) else {
      let error = lastError
      if duplicate >= 0 { close(duplicate) }
      throw SecretStoreError(description: "the folder of the secrets '\(path)': \(error)")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      names.append(name)
      guard names.count <= filesMax else {
        throw SecretStoreError(
          description: "the folder of the secrets '\(path)' has more than \(filesMax) files, the limit")
      }
    }
    return names
  }

  private func read(
    _ file: String, as name: String, in folder: borrowing Descriptor, path: String
  ) -> Result<Secret, SecretStoreError> {
    func refused(_ why: String) -> Result<Secret, SecretStoreError> {
      .failure(SecretStoreError(description: why))
    }
    let opened = openat(folder.raw, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard opened >= 0 else {
      return refused(
        errno == ELOOP
          ? "'\(path)' is a link, which is not followed" : "'\(path)' cannot be read: \(Self.lastError)")
    }
    let file = Descriptor(opened)
    var status = stat()
    guard fstat(file.raw, &status) == 0 else { return refused("'\(path)' cannot be read: \(Self.lastError)") }
    guard status.st_mode & S_IFMT == S_IFREG else { return refused("'\(path)' is not a file") }
    if !isOfCredentials, let problem = Self.problem(status, allowed: 0o600, path) { return refused(problem) }
    do throws(SystemError) {
      return .success(Secret(name: name, bytes: try WholeFile.read(file.raw, limit: Self.bytesMax)))
    } catch {
      return refused(
        error.code == EFBIG
          ? "'\(path)' has more than \(Self.bytesMax) bytes, the limit"
          : "'\(path)' cannot be read: \(error.reason)")
    }
  }
}
