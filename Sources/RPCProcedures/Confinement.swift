/// How far worker processes are kept from everything that is not theirs.
public enum Isolation: String, Hashable, Sendable, CaseIterable, Comparable {
  /// Not at all.
  case none
  /// Files, sockets and system calls; processes, users and networks of their own where the system allows that.
  case standard = "default"
  /// All of it, or nothing is run.
  case required

  private var strictness: Int {
    switch self {
    case .none: 0
    case .standard: 1
    case .required: 2
    }
  }

  public static func < (left: Isolation, right: Isolation) -> Bool { left.strictness < right.strictness }
}

/// Which sockets processes of a service may make.
package enum NetworkAccess: Hashable, Sendable {
  case none
  case all
  /// TCP connections to these ports alone, in order, each once.
  case ports([UInt16])

  package static let portsMax = 64

  package var ports: [UInt16] { if case .ports(let ports) = self { ports } else { [] } }

  /// nil where there are none or too many, one is 0 or twice there.
  package init?(ports: [UInt16]) {
    let sorted = Set(ports).sorted()
    guard (1...Self.portsMax).contains(ports.count), sorted.count == ports.count, sorted[0] > 0 else {
      return nil
    }
    self = .ports(sorted)
  }
}

/// What a service declares about the processes of its procedures.
package struct Confinement: Hashable, Sendable {
  /// nil for what the server says.
  package var isolation: Isolation?
  package var network = NetworkAccess.none
  /// Further paths that may be read.
  package var readable: [String] = []
  /// Further paths that may be read and written.
  package var writable: [String] = []
  /// Workers that it may have on a loop; nil for the server's bound.
  package var workers: Int?
  /// What its procedures are given.
  package var provision = Provision()

  package init() {}

  package static let standard = Confinement()

  /// Paths that a service may name.
  package static let pathsMax = 16
  package static let pathBytesMax = 1024
  package static let workersMax = 1024

  /// As it travels: nil where nothing is declared.
  package var words: [String]? {
    var words: [String] = []
    if let isolation { words.append("isolation=\(isolation.rawValue)") }
    switch network {
    case .none: break
    case .all: words.append("network")
    case .ports(let ports): words.append("network=\(ports.map(String.init).joined(separator: ","))")
    }
    words += readable.map { "read=\($0)" } + writable.map { "write=\($0)" }
    if let workers { words.append("workers=\(workers)") }
    words += provision.words
    return words.isEmpty ? nil : words
  }

  /// nil where something is not understood or not in its one order: it may be a bound that would not be kept.
  package init?(words: [String]) {
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      switch (parts.first, parts.dropFirst().first) {
      case ("network", nil): network = .all
      case ("network", let list?):
        let ports = list.split(separator: ",", omittingEmptySubsequences: false).map { UInt16($0) }
        guard !ports.contains(nil), let access = NetworkAccess(ports: ports.compactMap(\.self)) else {
          return nil
        }
        network = access
      case ("isolation", let value?):
        guard let level = Isolation(rawValue: value) else { return nil }
        isolation = level
      case ("read", let path?): readable.append(path)
      case ("write", let path?): writable.append(path)
      case ("workers", let count?):
        guard let count = Int(count), (1...Self.workersMax).contains(count) else { return nil }
        workers = count
      case (let key?, _):
        guard provision.take(key, String(word.dropFirst(key.count + 1))) else { return nil }
      default: return nil
      }
    }
    guard readable.count + writable.count <= Self.pathsMax, (readable + writable).allSatisfy(Self.isPath),
      (self.words ?? []) == words
    else { return nil }
  }

  /// A whole path without steps back.
  package static func isPath(_ path: String) -> Bool {
    path.utf8.first == UInt8(ascii: "/") && path.utf8.count <= pathBytesMax && !path.utf8.contains(0)
      && path.utf8.count > 1 && !path.split(separator: "/").contains("..")
  }
}

/// What a server says about them.
package struct IsolationPolicy: Hashable, Sendable {
  package var isolation = Isolation.standard
  /// What services may name as paths, with all below.
  package var allowedPaths: [String] = []

  package init() {}

  package func isolation(of confinement: Confinement) -> Isolation {
    max(isolation, confinement.isolation ?? .none)
  }

  /// Why a service's declaration cannot be followed here, naming the flag that would allow it; or nil.
  package func refusal(of confinement: Confinement, service: String) -> String? {
    if confinement.isolation == Isolation.none, isolation != .none {
      return
        "the service '\(service)' asks for isolation 'none', and this server's is '\(isolation.rawValue)': start it "
        + "with --isolation none, or leave 'isolation' out"
    }
    for path in confinement.readable + confinement.writable
    where !allowedPaths.contains(where: { path.isBelow($0) }) {
      return
        "the service '\(service)' may not use '\(path)' on this server: start it with --allow-path '\(path)'"
    }
    return nil
  }
}

extension String {
  /// Whether this path is another one or below it. One with `..` is below nothing.
  fileprivate func isBelow(_ folder: String) -> Bool {
    guard !split(separator: "/").contains("..") else { return false }
    let folder = folder.hasSuffix("/") ? folder : folder + "/"
    return (self + "/").utf8.starts(with: folder.utf8)
  }
}
