import Glibc
import RPCProcedures
import RPCWire
import Testing

/// The other tests run the interpreter as the user who runs them: root, in most containers.
@Suite("Python as an ordinary user", .serialized, .enabled(if: OrdinaryUser.canBeTaken))
struct OrdinaryUserTests {
  @Test("a user without rights has workers that keep every promise", arguments: [true, false])
  func promises(usesNamespaces: Bool) async throws {
    let nobody = try OrdinaryUser()
    defer { nobody.remove() }
    try await withPython(
      usesNamespaces: usesNamespaces, program: nobody.program,
      {
        $0.python.workers = 1
        $0.python.parentMilliseconds = 3000
      }
    ) { python in
      let who = SourceUnit.make("who() -> int", .python, "import os\ndef who(): return os.geteuid()")
      #expect(try await python.call(who) == [.int(Int64(OrdinaryUser.id))])

      // A call that waits for another takes nobody's place.
      LoopbackCaller.register(.make("innerPlain(int) -> int", .python, "def innerPlain(a): return a + 1"))
      let outer = SourceUnit.make(
        "outer(int) -> int", .python,
        "import rpc\ndef outer(a): return rpc.call(None, 'service1.innerPlain', a)")
      #expect(try await python.call(outer, [1], milliseconds: 60_000) == [2])

      // What a call starts ends with it, in whatever session it is.
      let word = "30\(UInt32.random(in: 1_000_000...9_999_999))"
      let leave = SourceUnit.make(
        "leave()", .python,
        "import os, time\ndef leave():\n  os.system('setsid sleep \(word) &')\n  while True: time.sleep(1)")
      let running = await python.start(leave, milliseconds: 2000)
      try await eventually("the start") {
        running.isFinished || !processes(with: "sleep\0\(word)").isEmpty
      }
      #expect(try await failure { try await running.result() }?.exception == .deadlineExceeded)
      try await eventually("the end of the session") { processes(with: "sleep\0\(word)").isEmpty }

      // A call may use what it is given, and no more.
      let hog = SourceUnit.make(
        "hog()", .python, "import time\ndef hog():\n  kept = b'x' * (96 << 20)\n  time.sleep(60)",
        memory: 64 * 1024 * 1024)
      #expect(try await failure { try await python.call(hog) }?.exception == .resourceExhausted)

      // Its helpers are replaced when they are stopped.
      let freeze = SourceUnit.make(
        "freeze()", .python,
        "import os, signal, time\ndef freeze():\n  os.kill(os.getppid(), signal.SIGSTOP)\n  time.sleep(60)")
      if try await failure({ try await python.call(freeze, milliseconds: 1000) }) == nil {
        Issue.record("a call that sleeps has ended")
      }
      try await eventually("an answer") {
        try await failure { try await python.call(who, milliseconds: 2000) } == nil
      }
    }
  }
}

/// An interpreter that root starts as nobody.
private struct OrdinaryUser {
  static let id: uid_t = 65534
  static let canBeTaken =
    geteuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0 && access("/usr/bin/python3", X_OK) == 0

  let program: String

  init() throws {
    var path = Array("/tmp/rpc-nobody-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    guard descriptor >= 0 else { throw RPCError(.unavailable, "no file for the test's interpreter") }
    defer { close(descriptor) }
    program = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let script = """
      #!/bin/sh
      exec /usr/bin/setpriv --reuid=\(Self.id) --regid=\(Self.id) --clear-groups /usr/bin/python3 "$@"

      """
    guard write(descriptor, script, script.utf8.count) == script.utf8.count, fchmod(descriptor, 0o700) == 0
    else { throw RPCError(.unavailable, "the test's interpreter cannot be written") }
  }

  func remove() {
    unlink(program)
  }
}
