import Glibc
import RPCSystem
import Testing

@testable import RPCServer

@Suite("A server that cannot start")
struct StartFailureTests {
  /// What failed, its exit code, and what is said.
  static let failures: [(SystemError, Int32, String)] = [
    (
      SystemError(code: EACCES, operation: .open("the log file 'x'")), 3,
      "cannot open the log file 'x': Permission denied"
    ),
    (SystemError(code: EMFILE, operation: "open a socket"), 1, "cannot open a socket: Too many open files"),
    (
      SystemError(code: EACCES, operation: "bind 127.0.0.1:80"), 1,
      "cannot bind 127.0.0.1:80: not allowed (ports below 1024 need privileges)"
    ),
  ]

  @Test("only a file that cannot be opened is a fault of what the server stores", arguments: failures)
  func failure(_ error: SystemError, _ code: Int32, _ message: String) {
    #expect(ServerProgram.exitCode(for: error) == code)
    #expect(ServerProgram.explain(error) == message)
  }
}
