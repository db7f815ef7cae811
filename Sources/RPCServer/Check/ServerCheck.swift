internal import Glibc
internal import RPCKeys
internal import RPCProcedures
internal import RPCSystem
internal import RPCTLS
internal import RPCTransport

/// Whether a server with these options could start and serve here: looked at as far as that changes nothing.
package struct ServerCheck {
  /// One thing that was looked at.
  package struct Finding: Hashable, Sendable {
    package var name: String
    package var isOK: Bool
    package var text: String
  }

  package let findings: [Finding]

  package init(host: String, port: Int, options: ServerOptions) {
    let look = Look(options: options)
    findings =
      [
        Finding("data directory") { () throws(CheckFailure) in try look.dataDirectory() },
        Finding("address") { () throws(CheckFailure) in try look.address(host, port) },
        Finding("server key") { () throws(CheckFailure) in try look.serverKey() },
        Finding("certificate") { () throws(CheckFailure) in try look.certificate(host, port) },
        Finding("deployers") { () throws(CheckFailure) in try look.deployers() },
        Finding("log") { () throws(CheckFailure) in try look.log() },
      ] + look.python()
  }

  /// A line for each finding.
  package var text: String {
    findings.map { finding in
      let name = finding.name + String(repeating: " ", count: max(0, 16 - finding.name.count))
      return "\(finding.isOK ? "ok    " : "failed")  \(name)\(finding.text)\n"
    }.joined()
  }

  package var isOK: Bool { findings.allSatisfy(\.isOK) }
}

extension ServerCheck.Finding {
  fileprivate init(_ name: String, _ look: () throws(CheckFailure) -> String) {
    self.name = name
    do throws(CheckFailure) {
      text = try look()
      isOK = true
    } catch {
      text = error.reason
      isOK = false
    }
  }
}

/// How each is looked at.
private struct Look {
  let options: ServerOptions

  // MARK: Where it serves and keeps things

  func address(_ host: String, _ port: Int) throws(CheckFailure) -> String {
    do throws(SystemError) {
      guard let address = try SocketAddress.resolve(host: host, port: port).first else {
        throw SystemError(code: EADDRNOTAVAIL, operation: "resolve '\(host)'")
      }
      _ = try Socket.bound(to: address)
      return port == 0 ? "\(host) with a port that is free then" : "\(address) is free"
    } catch {
      // The server that is to be started again with these settings.
      if error.code == EADDRINUSE, let directory = options.dataDirectory,
        let holder = Self.holder(of: directory)
      {
        return "\(host):\(port) is in use by the server of this data directory\(holder)"
      }
      throw CheckFailure(ServerProgram.explain(error))
    }
  }

  /// Who has locked a data directory: ` (process 4711)`; nil where nobody has.
  private static func holder(of directory: String) -> String? {
    let descriptor = open("\(directory)/lock", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // Shared, so that two that look do not see each other.
    guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
    let text = (try? WholeFile.read("\(directory)/lock", limit: 64)).map {
      String(decoding: $0, as: UTF8.self)
    }
    return text?.split(separator: "\n").first.map { " (process \($0))" } ?? ""
  }

  func dataDirectory() throws(CheckFailure) -> String {
    guard let directory = options.dataDirectory else { return "none: nothing is kept" }
    guard let mode = Self.mode(of: directory) else {
      return "\(directory) will be made\(try Self.freeSpace(above: directory))"
    }
    guard mode & S_IFMT == S_IFDIR else { throw CheckFailure("'\(directory)' is not a directory") }
    guard access(directory, R_OK | W_OK | X_OK) == 0 else { throw Self.failure("use", directory) }
    return directory + (Self.holder(of: directory).map { ", in use by a server\($0)" } ?? "")
  }

  private static func mode(of path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode : nil
  }

  /// Whether what is not there yet can be made.
  private static func freeSpace(above path: String) throws(CheckFailure) -> String {
    var folder = path
    while mode(of: folder) == nil, let slash = folder.lastIndex(of: "/") {
      folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
    }
    if mode(of: folder) == nil { folder = "." }
    guard mode(of: folder).map({ $0 & S_IFMT == S_IFDIR }) == true else {
      throw CheckFailure("'\(path)' cannot be made: '\(folder)' is not a directory")
    }
    guard access(folder, W_OK | X_OK) == 0 else {
      throw CheckFailure("'\(path)' cannot be made: \(failure("write to", folder).reason)")
    }
    return ""
  }

  private static func failure(_ verb: String, _ path: String) -> CheckFailure {
    CheckFailure("cannot \(verb) '\(path)': \(String(cString: strerror(errno)))")
  }

  func log() throws(CheckFailure) -> String {
    guard options.log.level != .off else { return "off" }
    guard let file = options.log.file else { return "to standard error" }
    if Self.mode(of: file) == nil { return "\(file) will be made\(try Self.freeSpace(above: file))" }
    guard access(file, W_OK) == 0 else { throw Self.failure("write to", file) }
    return file
  }

  // MARK: Keys

  func serverKey() throws(CheckFailure) -> String {
    guard let path = options.dataDirectory.map({ "\($0)/server-key" }) else { return "one for each run" }
    guard Self.mode(of: path) != nil else { return "made at the first start" }
    return try Self.reading { () throws(KeyError) in try KeyFile.privateKey(at: path).publicKey.fingerprint }
  }

  func certificate(_ host: String, _ port: Int) throws(CheckFailure) -> String {
    guard options.tls.mode != .off else { return "none: TLS is off" }
    guard let address = try? SocketAddress.resolve(host: host, port: port).first else {
      throw CheckFailure("'\(host)' has no address")
    }
    let files = TLSFiles(options: options.tls, dataDirectory: options.dataDirectory, address: address)
    return try Self.reading { () throws(KeyError) in
      let authorities = try files.authorities()
      guard files.areThere else { return "made at the first start" }
      let identities = try files.identities()
      do throws(TLSError) {
        _ = try TLSServerContext(
          identities: identities, protocols: [],
          trust: ClientTrust(authorities: authorities, asks: { false }, knows: { _ in false }),
          ticketKeys: TicketKeys())
      } catch {
        throw KeyError("TLS cannot be set up: \(error)")
      }
      if let late = identities.first(where: \.isExpired) {
        throw KeyError("the certificate \(late.pin) has expired: renew it")
      }
      return identities.map(\.pin.description).joined(separator: ", ")
    }
  }

  func deployers() throws(CheckFailure) -> String {
    try Self.reading { () throws(KeyError) in
      if let file = options.deployersFile {
        let count = try KeyFile.publicKeys(at: file).count
        return "\(count == 1 ? "1 key" : "\(count) keys") in \(file)"
      }
      // One that is made later counts at once.
      guard let path = try? DeployKey.path(), Self.mode(of: path + ".pub") != nil else {
        return "the deploy key of user '\(DeployKey.userName)', who has none yet"
      }
      return try "the deploy key of user '\(DeployKey.userName)', \(DeployKey.trusted().count) at \(path)"
    }
  }

  private static func reading(_ body: () throws(KeyError) -> String) throws(CheckFailure) -> String {
    do throws(KeyError) {
      return try body()
    } catch {
      throw CheckFailure("\(error)")
    }
  }

  // MARK: Python

  func python() -> [ServerCheck.Finding] {
    let probe: PythonProbe
    do {
      probe = try PythonProbe(limits: options.procedures)
    } catch {
      return [ServerCheck.Finding("Python") { () throws(CheckFailure) in throw CheckFailure(error.message) }]
    }
    return [
      ServerCheck.Finding("Python") { probe.version },
      ServerCheck.Finding("isolation") { () throws(CheckFailure) in try isolation(probe.tier) },
    ]
  }

  private func isolation(_ tier: IsolationTier) throws(CheckFailure) -> String {
    let shown = "'\(options.isolation.rawValue)': \(tier.description)"
    switch options.isolation {
    case .none: return "'none': procedures in Python reach what the server's user reaches"
    case .standard where tier.confines: return shown
    case .required where tier.confines && tier.hasNamespaces: return shown
    case .standard: throw CheckFailure("\(shown); Python is refused without, unless with --isolation none")
    case .required: throw CheckFailure("\(shown); namespaces are needed, which this system does not allow")
    }
  }
}

/// What is wrong with one thing.
private struct CheckFailure: Error {
  var reason: String

  init(_ reason: String) { self.reason = reason }
}
