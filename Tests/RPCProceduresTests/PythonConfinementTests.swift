import Glibc
import RPCProcedures
import RPCWire
import Testing

/// What holds where the kernel refuses namespaces, as many containers do; `EscapeTests` has the whole corpus.
@Suite("Python without namespaces", .serialized)
struct PythonConfinementTests {
  private static let attempts: [(name: String, code: String)] = [
    ("signal the server", "os.kill(PID, 0)"), ("stop the parent", "os.kill(os.getppid(), 19)"),
    ("read the server's environment", "open('/proc/PID/environ', 'rb').read()"),
    ("read the server's memory", "open('/proc/PID/mem', 'rb').read(1)"),
    ("list the server's descriptors", "os.listdir('/proc/PID/fd')"),
    ("see processes", "os.listdir('/proc')"), ("read a command line", "open('/proc/PID/cmdline').read()"),
    ("read the parent's memory", "open('/proc/%d/mem' % os.getppid(), 'rb').read(1)"),
    ("write outside", "open('/var/tmp/rpc-escape', 'w')"), ("read root's home", "os.listdir('/root')"),
    ("make a socket", "socket.socket()"), ("make a Unix socket", "socket.socket(socket.AF_UNIX)"),
    ("trace", "check(libc.ptrace(16, os.getppid(), None, None))"),
    ("make a user namespace", "check(libc.unshare(0x10000000))"),
  ]

  private static let source = """
    import ctypes, os, socket
    libc = ctypes.CDLL(None, use_errno=True)
    def check(result):
      if result < 0: raise OSError(ctypes.get_errno(), "failed")
    def attempt(code):
      try: exec(code)
      except OSError as error: return error.strerror
      return "escaped"
    """

  @Test("files, processes, sockets and system calls are out of reach all the same")
  func attempts() async throws {
    try await withPython(usesNamespaces: false) { python in
      let unit = SourceUnit.make("attempt(str) -> str", .python, Self.source)
      // Landlock keeps signals in since its version 6.
      let version = SourceUnit.make(
        "version() -> int", .python,
        "import ctypes\ndef version(): return ctypes.CDLL(None).syscall(444, None, 0, 1)")
      guard case .int(let landlock)? = try await python.call(version).first else { return }
      for (name, code) in Self.attempts where landlock >= 6 || !code.contains("os.kill") {
        let code = code.split(separator: "PID", omittingEmptySubsequences: false).joined(
          separator: "\(getpid())")
        let answer = try await python.call(unit, [.string(code)])
        #expect(answer != ["escaped"], "\(name)")
      }
    }
  }

  @Test("what 'required' needs and is not there is said, and nothing runs")
  func required() async throws {
    try await withPython(usesNamespaces: false, isolation: .required) { python in
      let unit = SourceUnit.make("one() -> int", .python, "def one(): return 1")
      let error = try await failure { try await python.call(unit) }
      #expect(error?.exception == .failedPrecondition)
      #expect(error?.message.contains("allows no namespaces, which isolation 'required' needs") == true)
    }
    try await withPython(isolation: .required) { python in
      let unit = SourceUnit.make("one() -> int", .python, "def one(): return 1")
      let values = try await python.call(unit)
      #expect(values == [1])
    }
  }

  @Test("however many services there are, idle workers are as many as calls may run")
  func manyServices() async throws {
    try await withPython({ $0.python.workers = 2 }) { python in
      let before = descendants().count
      for number in 0..<20 {
        let unit = SourceUnit.make(
          "one() -> int", .python, "def one(): return \(number)", service: "service\(number)")
        let values = try await python.call(unit)
        #expect(values == [.int(Int64(number))])
      }
      // The guardian, the parent and two workers.
      try await eventually("the end of those that made way") { descendants().count <= before + 4 }
    }
  }

  @Test(
    "a declaration of a service travels in one form only",
    arguments: [
      (["network"], true), (["isolation=required", "network", "read=/a", "write=/b", "workers=3"], true),
      (["network", "isolation=required"], false), (["read=a"], false), (["read=/a/../b"], false),
      (["workers=0"], false), (["workers=1025"], false), (["workers=01"], false),
      (["isolation=strict"], false),
      (["all"], false), (["network", "network"], false), (["read=/"], false),
      ((0..<Confinement.pathsMax).map { "read=/\($0)" }, true),
      ((0...Confinement.pathsMax).map { "read=/\($0)" }, false),
      (["read=/" + String(repeating: "a", count: Confinement.pathBytesMax - 1)], true),
      (["read=/" + String(repeating: "a", count: Confinement.pathBytesMax)], false),
    ])
  func words(words: [String], isRight: Bool) {
    let found = Confinement(words: words)?.words
    #expect(found == (isRight ? words : nil))
  }

  @Test("a path is covered by a folder that it is in, by no other that begins alike")
  func coverage() {
    var policy = IsolationPolicy()
    policy.allowedPaths = ["/srv/data", "/var/lib/x/"]
    for (path, isAllowed) in [
      ("/srv/data", true), ("/srv/data/a", true), ("/srv/database", false), ("/srv", false),
      ("/var/lib/x", true),
      ("/var/lib/x/y", true), ("/srv/data/../../etc", false),
    ] {
      var confinement = Confinement()
      confinement.readable = [path]
      #expect((policy.refusal(of: confinement, service: "s") == nil) == isAllowed, "\(path)")
    }
  }
}
