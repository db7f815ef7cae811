internal import CLinux
internal import Glibc
internal import RPCSystem

/// The interpreters that this machine has, by their versions: in the folders that it is told of, in PATH and where
/// distributions put them. They are never told by path from outside.
///
/// Looking starts each once and may take a while, so a loop that serves asks for what was found only.
package final class PythonInterpreters: Sendable {
  /// The oldest version of Python whose library has all that the worker program uses.
  package static let oldestMinorVersion = 9
  /// Where programs are beside those of PATH.
  private static let usualFolders = ["/usr/local/bin", "/usr/bin"]
  /// How long one may take to say its version.
  private static let answerMilliseconds: Int32 = 5000

  private let told: [String]
  private let path: String
  private let found = Lock<[String: String]>([:])

  /// - Parameters:
  ///   - told: folders with interpreters, or with installations of them as pyenv keeps them.
  ///   - path: as the variable PATH has it.
  package init(
    told: [String] = [], path: String = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
  ) {
    self.told = told
    self.path = path
  }

  /// Where to look, in this order.
  private var folders: [String] {
    let installations = told.flatMap { folder in
      [folder, "\(folder)/bin"] + Self.names(in: folder).sorted().map { "\(folder)/\($0)/bin" }
    }
    return installations + path.split(separator: ":").map(String.init) + Self.usualFolders
  }

  /// The program for a version such as `3.12`, where it was found.
  package func program(for version: String) -> String? { found.withLock { $0[version] } }

  /// Looks for a version that is not known yet or is not there any more, on a thread that may wait.
  package func look(for version: String) {
    if let known = program(for: version), access(known, X_OK) == 0 { return }
    var programs: [String: String] = [:]
    var seen: Set<String> = []
    for folder in folders where folder.hasPrefix("/") && seen.insert(folder).inserted {
      // One that is named by its version is that before one that only happens to be.
      for name in Self.names(in: folder).filter(Self.isInterpreter).sorted(by: >) {
        let program = "\(folder)/\(name)"
        guard let version = Self.version(of: program), programs[version] == nil else { continue }
        // What stands there may be a stand-in for another one.
        if name == "python3" || name == "python\(version)" { programs[version] = program }
      }
    }
    let all = programs
    found.withLock { $0 = all }
  }

  /// What was found, the oldest first.
  package var versions: [String] {
    found.withLock { $0.keys.sorted { Self.minor($0) ?? 0 < Self.minor($1) ?? 0 } }
  }

  /// Why a service cannot have the version that it names; nil where it was found.
  package func refusal(of provision: Provision, service: String) -> String? {
    guard let version = provision.python, program(for: version) == nil else { return nil }
    let found = versions.isEmpty ? "none" : versions.joined(separator: ", ")
    return
      "the service '\(service)' asks for Python \(version), and this server finds \(found): name one of those, install "
      + "python\(version) on the server, or tell it where that is with --interpreters"
  }

  /// `3.12`, as `python:` has it.
  package static func isVersion(_ text: String) -> Bool { minor(text) != nil }

  private static func minor(_ text: some StringProtocol) -> Int? {
    guard text.hasPrefix("3."), case let digits = text.dropFirst(2), (1...3).contains(digits.utf8.count),
      digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), digits.utf8.count == 1 || digits.first != "0"
    else { return nil }
    return Int(digits)
  }

  /// `python3` and `python3.11`, and nothing that only begins so.
  private static func isInterpreter(_ name: String) -> Bool {
    name == "python3" || name.hasPrefix("python") && isVersion(String(name.dropFirst("python".utf8.count)))
  }

  private static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  /// What a program says that it is; nil for one that is no Python, says nothing in time, or is too old to be used.
  private static func version(of program: String) -> String? {
    guard access(program, X_OK) == 0 else { return nil }
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      return nil
    }
    defer { close(ends[0]) }
    let process = try? ChildProcess.start(
      [program, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
      environment: WorkerEnvironment.variables, descriptors: [-1, ends[1], -1], alone: true)
    close(ends[1])
    guard let process else { return nil }
    let text = line(from: ends[0])
    kill(process.id, SIGKILL)
    _ = process.wait()
    guard let minor = minor(text), minor >= oldestMinorVersion else { return nil }
    return text
  }

  /// The first line that arrives, or nothing.
  private static func line(from descriptor: Int32) -> String {
    var bytes: [UInt8] = []
    let deadline = SystemClock.monotonicNanoseconds() + UInt64(answerMilliseconds) * 1_000_000
    while bytes.count < 64, bytes.last != 0x0a {
      let now = SystemClock.monotonicNanoseconds()
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard now < deadline else { return "" }
      let ready = poll(&waiting, 1, Int32((deadline - now) / 1_000_000) + 1)
      if ready < 0, errno == EINTR { continue }
      guard ready > 0 else { return "" }
      var part = [UInt8](repeating: 0, count: 64)
      let count = read(descriptor, &part, part.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return "" }
      bytes += part[..<count]
    }
    return String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
  }
}
