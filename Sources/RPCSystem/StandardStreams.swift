internal import Glibc
internal import Synchronization

/// The program's standard streams. What cannot be written is remembered, so that a run which reported nothing does
/// not end with 0.
package enum StandardStreams {
  /// The error number of the first write to standard output that failed, 0 for none.
  private static let failure = Atomic<Int32>(0)

  /// Colours where a person reads and did not ask for none.
  package static var showsColors: Bool {
    guard isatty(1) == 1 else { return false }
    if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
    guard let terminal = getenv("TERM") else { return false }
    return String(cString: terminal) != "dumb"
  }

  /// Writes all of a text. A reader that is gone ends the program quietly, by SIGPIPE.
  package static func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        let code = errno
        if code == EINTR { continue }
        if descriptor == 1 {
          _ = failure.compareExchange(expected: 0, desired: code, ordering: .relaxed)
        }
        return
      }
      bytes = bytes.dropFirst(count)
    }
  }

  /// The code that `program` ends with: where the output could not be written, success is none, and it says so.
  package static func exitCode(_ code: Int32, of program: String) -> Int32 {
    let error = failure.load(ordering: .relaxed)
    guard error != 0 else { return code }
    write("\(program): \(problem(error))\n", to: 2)
    return code == 0 ? 1 : code
  }

  /// Ends `program` before it has begun: with help that was asked for, or with 2, since its arguments are wrong.
  package static func end(saying text: String, isHelp: Bool, of program: String) -> Never {
    write(text + "\n", to: isHelp ? 1 : 2)
    // Help that went nowhere is not a success.
    exit(isHelp ? exitCode(0, of: program) : 2)
  }

  /// What stands in the way of the output, by an error number.
  package static func problem(_ error: Int32) -> String {
    let reason = error == EBADF ? "it is closed" : SystemError(code: error, operation: "write").reason
    return "cannot write to standard output: \(reason)"
  }
}
