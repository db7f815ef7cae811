internal import CLinux
internal import Glibc

/// A descriptor that the service manager gave this process, as sd_listen_fds(3) says: a socket that it opened, or that
/// an earlier process of the service left with it.
package struct InheritedDescriptor: Hashable, Sendable {
  package let name: String
  package let raw: Int32

  package init(name: String, raw: Int32) {
    self.name = name
    self.raw = raw
  }

  /// The first of them; those below are standard input, output and error.
  static let first: Int32 = 3

  /// All that there are, closed on exec from now on and never blocking. The variables that tell of them are removed,
  /// since they are for this process alone. Call it before other threads run.
  package static func take() -> [InheritedDescriptor] {
    let variables = ServiceVariables.take(["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"])
    let found = read(variables, process: getpid())
    return found.filter { descriptor in
      fcntl(descriptor.raw, F_SETFD, FD_CLOEXEC) == 0 && rpc_set_nonblocking(descriptor.raw, 1) == 0
    }
  }

  /// What the variables say, none where they are another process's.
  static func read(_ variables: [String: String], process: pid_t) -> [InheritedDescriptor] {
    guard variables["LISTEN_PID"] == "\(process)",
      let count = variables["LISTEN_FDS"].flatMap({ Int32($0) }), (1...Int32(1024)).contains(count)
    else { return [] }
    let names = variables["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false) ?? []
    return (0..<count).map { index in
      InheritedDescriptor(
        name: Int(index) < names.count ? String(names[Int(index)]) : "unknown", raw: first + index)
    }
  }

  package func close() { _ = Glibc.close(raw) }
}
