import Foundation
import RPCClient
import RPCWire
import TestSupport
import Testing

/// Procedures that do the worst they can to their server, in both languages: each call gets the error that the documents
/// promise, calls of others are all answered meanwhile, and at the end nothing is left.
@Suite("Hostile procedures and their neighbours", .serialized)
struct HostileProcedureTests {
  struct Attack: CustomTestStringConvertible, Sendable {
    var testDescription: String
    /// The body of a function.
    var body: String
    /// nil where the call itself is answered.
    var error: RPCError.Exception?
    /// What the message says, one of them.
    var says: [String]

    init(_ name: String, _ error: RPCError.Exception?, _ says: String = "", _ body: String) {
      testDescription = name
      self.body = body
      self.error = error
      self.says = [says]
    }

    init(_ name: String, _ error: RPCError.Exception?, oneOf says: [String], _ body: String) {
      testDescription = name
      self.body = body
      self.error = error
      self.says = says
    }
  }

  static let python: [Attack] = [
    Attack("an endless loop", .deadlineExceeded, "", "while True: pass"),
    Attack(
      "sleep that ignores signals", .deadlineExceeded, "",
      "[signal.signal(n, signal.SIG_IGN) for n in (2, 15)]\nwhile True: time.sleep(1)"),
    Attack(
      "a loop that catches everything", .deadlineExceeded, "",
      "while True:\n  try:\n    while True: pass\n  except BaseException: pass"),
    Attack(
      "memory, with the bound lifted as far as it goes", .resourceExhausted, "bytes of memory",
      "resource.setrlimit(resource.RLIMIT_DATA, (resource.getrlimit(resource.RLIMIT_DATA)[1],) * 2)\n"
        + "kept = [bytearray(1 << 20) for _ in range(200)]\ntime.sleep(100)"),
    Attack(
      "lifting the bound itself", .executionException, "not allowed to raise maximum limit",
      "resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)"),
    Attack(
      "shared memory", .resourceExhausted, "bytes of memory",
      "m = mmap.mmap(-1, 200 << 20)\nm.write(b'x' * (200 << 20))\ntime.sleep(100)"),
    Attack(
      "processes by the hundred, by a shell", .resourceExhausted, "processes, the limit is 16",
      "subprocess.run(['/bin/sh', '-c', 'for i in $(seq 40); do sleep WORD & done; wait'])"),
    Attack(
      "processes by the hundred, in C", .resourceExhausted, "processes, the limit is 16",
      "for _ in range(40):\n  if libc.fork() == 0: os.execvp('sleep', ['sleep', 'WORD'])\ntime.sleep(100)"),
    Attack(
      "processes by the hundred, in Python", .executionException, "more than 16 processes",
      "for _ in range(40): subprocess.Popen(['sleep', 'WORD'])"),
    Attack("an exit", .executionException, "exit status 3", "os._exit(3)"),
    Attack("an exit by exception", .executionException, "SystemExit", "raise SystemExit(3)"),
    Attack("a crash", .executionException, "SIGSEGV", "ctypes.string_at(0)"),
    Attack("a stop of itself", .executionException, "SIGSTOP", "os.kill(os.getpid(), signal.SIGSTOP)"),
    Attack("a kill of its group", .executionException, "SIGKILL", "os.killpg(0, signal.SIGKILL)"),
    Attack("closing every descriptor", .executionException, "", "os.closerange(0, 256)\nreturn 1"),
    Attack(
      "answering in the worker's place", .executionException, "its worker's own socket",
      """
      for fd in range(3, 256):
        try:
          if os.fstat(fd).st_mode & 0o170000 == 0o140000: os.write(fd, b'junk' * 64)
        except OSError: pass
      time.sleep(100)
      """),
    Attack(
      "printing without end", .executionException, "8388608", "while True: print('x' * 1000)"),
    Attack(
      "writing without end past the streams", .executionException, "8388608",
      "while True: os.write(1, b'x' * 65536)"),
    Attack("a result of 64 MiB", .resourceExhausted, "16777216", "return 'x' * (64 << 20)"),
    Attack("a result of another type", .executionException, "", "return object()"),
    Attack("a recursion without end", .executionException, "RecursionError", "return BODY_NAME()"),
    Attack(
      "a file without end", .executionException, "",
      "f = open(os.environ['TMPDIR'] + '/x', 'wb')\nwhile True: f.write(b'x' * (16 << 20))"),
    Attack(
      "descriptors without end", .executionException, "Too many open files",
      "kept = []\nwhile True: kept.append(os.open('/dev/null', 0))"),
    Attack(
      "files without end", nil, "",
      "[open(os.environ['TMPDIR'] + '/%d' % n, 'w').close() for n in range(2000)]\nreturn 'done'"),
    Attack(
      "a thread that stays", nil, "",
      "def spin():\n  while True: pass\nthreading.Thread(target=spin, daemon=True).start()\nreturn 'done'"),
    Attack(
      "a process that goes away", nil, "",
      """
      if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: os.execvp('sleep', ['sleep', 'WORD'])
        os._exit(0)
      return 'done'
      """),
    Attack(
      "calling itself without end", .executionException, "",
      "import rpc\nreturn rpc.call(None, 'hostile.BODY_NAME')"),
  ]

  static let lua: [Attack] = [
    Attack("an endless loop", .deadlineExceeded, "", "while true do end"),
    Attack(
      "a loop that catches everything", .deadlineExceeded, "",
      "while true do pcall(function() while true do end end) end"),
    Attack(
      "a long pattern", .deadlineExceeded, "",
      "while true do string.find(string.rep('a', 60), string.rep('a?', 60) .. 'b') end"),
    Attack(
      "a table without end", .executionException, "not enough memory: the call may use 67108864 bytes",
      "local t = {}\nfor n = 1, 1e9 do t[n] = {n} end"),
    Attack(
      "a string without end", .executionException, "is too long",
      "local s = 'x'\nwhile true do s = s .. s end"),
    Attack("a repeated string", .executionException, "is too long", "return string.rep('x', 1 << 40)"),
    Attack(
      "a result of 18 MiB", .executionException, "is too long",
      "local s = string.rep('x', 9 << 20)\nreturn s .. s"),
    // Which of the two bounds it meets first depends on what the interpreter held before.
    Attack(
      "a recursion without end", .executionException, oneOf: ["not enough memory", "stack overflow"],
      "local function f() return 1 + f() end\nreturn f()"),
    Attack("an error that is nothing", .executionException, "", "error(nil)"),
    Attack(
      "an error that is a table without end", .deadlineExceeded, "",
      "error(setmetatable({}, {__tostring = function() while true do end end}))"),
    Attack("a result of another type", .executionException, "", "return function() end"),
    Attack(
      "sorting without order", .deadlineExceeded, "",
      "local t = {}\nfor n = 1, 1000 do t[n] = n end\nwhile true do pcall(table.sort, t, function() return true end) end"
    ),
    Attack(
      "calling itself without end", .executionException, "", "return rpc.call(nil, 'hostile.BODY_NAME')"),
  ]

  /// Deploys every attack as a procedure, beside a service that does no harm.
  private static func network(_ attacks: [Attack], _ ending: String, word: String) throws -> Network {
    let network = try Network(options: ["--loops", "2"])
    let folder = network.directory
    let sources = attacks.enumerated().map { index, attack in
      let body = attack.body.replacing("WORD", with: word).replacing("BODY_NAME", with: "attack\(index)")
      let lines = body.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
      return ending == "py"
        ? "def attack\(index)():\n\(lines)\n" : "function attack\(index)()\n\(lines)\nend\n"
    }
    let head =
      "import ctypes, mmap, os, resource, signal, subprocess, threading, time\nlibc = ctypes.CDLL(None)\n"
    try folder.write((ending == "py" ? head : "") + sources.joined(separator: "\n"), to: "hostile.\(ending)")
    try folder.write(
      "import os\ndef double(n): return 2 * n\ndef folder(): return os.environ['TMPDIR']\n", to: "calm.py")
    try folder.write("function add(a, b) return a + b end\n", to: "calm.lua")
    let names = attacks.indices.map { "attack\($0)" }
    let memory = ending == "py" ? "memory: 64MiB, " : ""
    try network.describe(
      """
      service:
        - hostile: {providers: [s1], tenants: [me, service hostile], rpcs: [\(names.joined(separator: ", "))]}
        - calm: {providers: [s1], tenants: [me], rpcs: [double, folder, add]}
      rpc:
        hostile:
      \(names.map { "    - \($0): {args: [], returns: [str], \(memory)src: hostile.\(ending)}" }.joined(separator: "\n"))
        calm:
          - double: {args: [int], returns: [int], src: calm.py}
          - folder: {args: [], returns: [str], src: calm.py}
          - add: {args: [int, int], returns: [int], src: calm.lua}
      """)
    try network.deploy()
    return network
  }

  @Test("in Python each gets its error, no neighbour fails, and nothing is left")
  func pythonAttacks() async throws {
    try await Self.attack(Self.python, "py")
  }

  @Test("in Lua each gets its error, no neighbour fails, and nothing is left")
  func luaAttacks() async throws {
    try await Self.attack(Self.lua, "lua")
  }

  private static func attack(_ attacks: [Attack], _ ending: String) async throws {
    let word = "40\(UInt32.random(in: 1_000_000...9_999_999))"
    let network = try network(attacks, ending, word: word)
    let server = try network.server("s1")
    let client = network.client()
    let calm = network.client()
    for number in 0..<4 { #expect(try await calm.call("calm.double", number, on: "s1") as Int == 2 * number) }
    let folder = try await calm.call("calm.folder", on: "s1") as String
    let neighbours = Task {
      var answered = 0
      while !Task.isCancelled {
        let doubled: Int = try await calm.call("calm.double", answered, on: "s1")
        let added: Int = try await calm.call("calm.add", answered, 1, on: "s1")
        guard doubled == 2 * answered, added == answered + 1 else { throw Failure("\(doubled), \(added)") }
        answered += 1
      }
      return answered
    }
    for (index, attack) in attacks.enumerated() {
      let began = ContinuousClock.now
      let name = "hostile.attack\(index)"
      do throws(RPCError) {
        let limit: Duration = attack.error == .deadlineExceeded ? .milliseconds(700) : .seconds(30)
        _ = try await client.call(name, on: "s1", options: .deadline(limit)) as String
        #expect(attack.error == nil, "\(attack.testDescription) was answered")
      } catch {
        #expect(error.exception == attack.error, "\(attack.testDescription): \(error)")
        #expect(
          attack.says.contains { $0.isEmpty || error.message.contains($0) },
          "\(attack.testDescription): \(error)")
      }
      // Its caller has waited no longer than it said, which is far less than the attack would take.
      #expect(began.duration(to: .now) < .seconds(40), "\(attack.testDescription)")
    }
    neighbours.cancel()
    let answered: Int
    do {
      answered = try await neighbours.value
    } catch let error as RPCError where error.exception == .cancelled {
      answered = 1
    }
    #expect(answered > 0)
    #expect(try await calm.call("calm.double", 21, on: "s1") as Int == 42)
    #expect(server.isRunning)
    // Nothing of it goes on, and nothing that it wrote is there.
    let parent = URL(fileURLWithPath: folder).deletingLastPathComponent().path
    var left: [String] = []
    for _ in 0..<200 {
      let processes = try run("pgrep", ["-f", "sleep \(word)"]).lines
      let files = (FileManager.default.subpaths(atPath: parent) ?? []).filter { $0.contains("/") }
      left = processes + files
      if left.isEmpty { break }
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(left.isEmpty, "\(left.prefix(5))")
    await client.close()
    await calm.close()
    let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(server.pid)/fd").count
    #expect(descriptors < 80, "\(descriptors) descriptors")
    server.signal(SIGTERM)
    try server.waitForEnd()
    #expect(!FileManager.default.fileExists(atPath: folder))
  }
}
