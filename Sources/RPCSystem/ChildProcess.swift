internal import CLinux
internal import Glibc

/// A program that this one started. It gets signals as any program has them, whatever this one blocks or ignores.
package struct ChildProcess: Sendable {
  package let id: Int32

  /// Starts a program, found in PATH.
  ///
  /// - Parameters:
  ///   - arguments: the program and what it is told.
  ///   - environment: `NAME=value` each; nil for this program's own.
  ///   - descriptors: what its descriptors 0, 1, … are; negative for /dev/null.
  ///   - alone: in a session of its own, with no other descriptors than those; otherwise it inherits what is not closed
  ///     on exec.
  /// - Throws: why it cannot be started: `ENOENT` where the program does not exist.
  package static func start(
    _ arguments: [String], environment: [String]? = nil, descriptors: [Int32] = [], alone: Bool = false
  ) throws(SystemError) -> ChildProcess {
    precondition(!arguments.isEmpty, "a program has a name")
    var process = pid_t()
    let code = withCStrings(arguments) { arguments in
      withCStrings(environment ?? []) { given in
        rpc_spawn(
          arguments[0], arguments, environment == nil ? UnsafePointer(environ) : given, descriptors,
          Int32(descriptors.count), alone ? 1 : 0, &process)
      }
    }
    guard code == 0 else { throw SystemError(code: code, operation: "run \(arguments[0])") }
    return ChildProcess(id: process)
  }

  /// Waits until it has ended.
  ///
  /// - Returns: its exit status, or 128 and the signal's number, as a shell tells it; 127 where it is not a child.
  package func wait() -> Int32 {
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0 {
      if errno != EINTR { return 127 }
    }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }
}

/// Lends an array of C strings, ended by nil.
private func withCStrings<Result>(
  _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
  let copies = strings.map { strdup($0) } + [nil]
  defer { for copy in copies { free(copy) } }
  return copies.withUnsafeBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
}
