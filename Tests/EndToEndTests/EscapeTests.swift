import Foundation
import RPCClient
import TestSupport
import Testing

/// What hostile procedures try, each in the words of Python: none of it may succeed. `PID`, `DATA`, `CONFIG`,
/// `PORT`, `OUTSIDE` and `TOOLS` stand for the server's process, its data directory, the folder of the deployer's key, the port, a
/// folder that anybody may write, and the folder of the programs.
@Suite("What procedures cannot get out of", .serialized)
struct EscapeTests {
  enum User: String, CaseIterable {
    case root, nobody
  }

  static let users: [User] = geteuid() == 0 ? User.allCases : [.nobody]

  private static let attempts: [(name: String, code: String)] = [
    ("read the server's key", "open('DATA/server-key').read()"),
    ("read the deployer's key", "open('CONFIG/deploy-key').read()"),
    ("trust another deployer", "open('CONFIG/deploy-key.pub', 'a')"),
    ("take the fence away", "os.remove('DATA/fence')"),
    ("read its public half", "open('DATA/server-key.pub').read()"),
    ("list the data directory", "os.listdir('DATA')"),
    ("read another service's source", "[open(p).read() for p in glob.glob('DATA/objects/*/*')][0]"),
    ("write the data directory", "open('DATA/current-x', 'w')"),
    ("remove from the data directory", "os.remove('DATA/server-key')"),
    ("move the data directory", "os.rename('DATA', 'DATA-moved')"),
    ("read a system's secret", "open('/etc/shadow').read()"),
    ("read a home", "os.listdir('/root')"),
    ("write outside its folder", "open('OUTSIDE/x', 'w')"),
    ("make a folder outside", "os.mkdir('OUTSIDE/x')"),
    (
      "link outside and write through",
      "os.symlink('OUTSIDE/x', os.environ['TMPDIR'] + '/l'); open(os.environ['TMPDIR'] + '/l', 'w')"
    ),
    ("hard link a file in", "os.link('OUTSIDE/here', os.environ['TMPDIR'] + '/h')"),
    ("truncate a file outside", "os.truncate('OUTSIDE/here', 0)"),
    ("change rights outside", "os.chmod('OUTSIDE/here', 0o777)"),
    ("change an owner outside", "os.chown('OUTSIDE/here', 0, 0)"),
    ("read the server's memory", "open('/proc/PID/mem', 'rb').read(1)"),
    ("read the server's environment", "open('/proc/PID/environ', 'rb').read()"),
    ("list the server's descriptors", "os.listdir('/proc/PID/fd')"),
    ("read the server's command line", "open('/proc/PID/cmdline', 'rb').read()"),
    ("read its parent's memory", "open('/proc/%d/mem' % os.getppid(), 'rb').read(1)"),
    ("read its parent's environment", "open('/proc/%d/environ' % os.getppid(), 'rb').read()"),
    (
      "read siblings",
      "[open('/proc/%s/environ' % p, 'rb').read() for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()][0]"
    ),
    ("read another service's secret", "rpc.secret('db')"),
    ("read a secret where the server keeps it", "open('SECRETS/db').read()"),
    ("list the server's secrets", "os.listdir('SECRETS')"),
    ("list what services are given", "os.listdir('/dev/shm')"),
    ("find what services are given", "glob.glob('/dev/shm/*/*/*')[0] + glob.glob('/tmp/*/*/*')[0]"),
    ("find a secret in its own environment", "os.environ['SECRET']"),
    ("signal the server", "os.kill(PID, 0)"),
    ("stop the server", "os.kill(PID, signal.SIGSTOP)"),
    ("signal its parent", "os.kill(os.getppid(), signal.SIGSTOP)"),
    ("connect to the server", "socket.create_connection(('127.0.0.1', PORT))"),
    ("make a TCP socket", "socket.socket()"),
    ("make a UDP socket", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
    ("make an IPv6 socket", "socket.socket(socket.AF_INET6)"),
    ("make a Unix socket", "socket.socket(socket.AF_UNIX)"),
    ("make a netlink socket", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"),
    ("make a vsock", "socket.socket(40, socket.SOCK_STREAM)"),
    ("make a socket in C", "check(libc.socket(2, 1, 0))"),
    ("make a pair of datagram sockets", "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"),
    ("turn a pair elsewhere", "socket.socketpair()[0].connect('/run/x')"),
    (
      "deploy with the initializer",
      "subprocess.run(['TOOLS/initializer', 'OUTSIDE/init.yaml', '--force'], check=True)"
    ),
    (
      "deploy with the shell",
      "subprocess.run(['TOOLS/rpc-client', '--config', 'OUTSIDE/init.yaml', '-c', 'apply'], check=True)"
    ),
    ("deploy by a call", "rpc.call('s1', 'system.deploy_begin', 'x', 'me', '', True, b'')"),
    ("end a deployment by a call", "rpc.call('s1', 'system.deploy_unlock', 'me')"),
    ("read a source by a call", "rpc.call('s1', 'system.source', 'other', 'secret', [])"),
    ("call another service", "rpc.call('s1', 'other.secret')"),
    ("become root", "os.setuid(0) if os.getuid() else os.setuid(65533)"),
    ("trace", "check(libc.ptrace(16, os.getppid(), None, None))"),
    ("read memory of another", "check(libc.syscall(310, os.getppid(), None, 0, None, 0, 0))"),
    ("load a program into the kernel", "check(libc.syscall(321, 0, None, 0))"),
    ("mount", "check(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))"),
    ("make a user namespace", "check(libc.unshare(0x10000000))"),
    ("make a namespace by clone", "check(libc.syscall(56, 0x10000000 | 17, None, None, None, None))"),
    ("make a namespace by clone3", "check(libc.syscall(435, None, 88))"),
    ("use a kernel's keyring", "check(libc.syscall(250, 0, 0, 0, 0, 0))"),
    ("make an io_uring", "check(libc.syscall(425, 1, None))"),
    ("watch the machine's counters", "check(libc.syscall(298, None, 0, -1, -1, 0))"),
    ("handle page faults", "check(libc.syscall(323, 0))"),
    ("raise the number of descriptors", "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))"),
    ("raise the size of files", "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 40, 1 << 40))"),
    // By its number: its name has the word in it that stands for the directory.
    ("raise the memory", "resource.setrlimit(2, (1 << 50, 1 << 50))"),
    (
      "lift the memory's bound", "resource.setrlimit(2, (resource.RLIM_INFINITY,) * 2)"
    ),
    ("change the root", "os.chroot(os.environ['TMPDIR'])"),
    ("make a device", "os.mknod(os.environ['TMPDIR'] + '/d', 0o20666, os.makedev(1, 1))"),
  ]

  private static let python = """
    import ctypes, glob, os, resource, signal, socket, subprocess, tempfile
    import rpc
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), "failed")

    \(AttemptedCode.python)

    def state():
        text = open("/proc/self/status").read()
        return [line for line in text.split("\\n") if line.split(":")[0] in ("NoNewPrivs", "Seccomp", "CapEff")]

    def works():
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
        import ssl, threading, hashlib, json, asyncio
        ssl.create_default_context()
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        asyncio.run(asyncio.sleep(0))
        a, b = socket.socketpair()
        a.send(b"x")
        assert b.recv(1) == b"x"
        try:
            import numpy
            assert numpy.arange(3).sum() == 3
        except ImportError:
            pass
        return subprocess.run(["/bin/echo", "x"], capture_output=True, text=True, check=True).stdout

    def leave(text):
        with open(os.environ["TMPDIR"] + "/left", "w") as file:
            file.write(text)
        return os.environ["TMPDIR"]

    def left():
        return os.listdir(os.environ["TMPDIR"])

    def survive(word):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp("sleep", ["sleep", word])
            os._exit(0)
    """

  private static func network(_ user: User) throws -> (Network, ChildProcess) {
    let network = try Network(["s1"], start: false)
    let folder = network.directory
    for path in [
      folder.path, try folder.write("{}", to: "data/s1/note").replacingOccurrences(of: "/s1/note", with: ""),
    ] {
      chmod(path, 0o755)
    }
    try folder.makeDirectory("outside")
    chmod(folder.file("outside"), 0o777)
    try folder.write("here", to: "outside/here")
    chmod(folder.file("outside/here"), 0o666)
    _ = try run(Programs.initializer, ["key"])
    let deployers = try folder.write(
      String(contentsOfFile: "\(ConfigHome.path)/simplerpc/deploy-key.pub", encoding: .utf8), to: "deployers")
    chmod(try folder.write("hidden\n", to: "secrets/db"), 0o600)
    chmod(folder.file("secrets"), 0o700)
    let command =
      [
        Programs.server, "127.0.0.1", "\(try network.port("s1"))", "--data", folder.file("data/s1"),
        "--deployers", deployers, "--secrets", folder.file("secrets"),
      ]
    var prefix: [String] = []
    var environment: [String: String?] = ["SECRET": "s"]
    if user == .nobody, geteuid() == 0 {
      chown(folder.file("data/s1"), 65534, 65534)
      for path in [deployers, folder.file("secrets"), folder.file("secrets/db")] { chown(path, 65534, 65534) }
      prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
      environment["PATH"] = "/usr/bin:/bin"
      environment["TMPDIR"] = "/tmp"
    }
    let words = prefix + command
    let server = try ChildProcess(words[0], Array(words[1...]), environment: environment)
    try server.waitForLine("listening on")
    try folder.write(python, to: "test.py")
    try folder.write("import rpc\ndef secret(): return rpc.secret('db')\n", to: "other.py")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [attempt, state, works, leave, left, survive]}
        - other: {providers: [s1], tenants: [me], rpcs: [secret], secrets: [db]}
      rpc:
        test:
          - attempt: {args: [str], returns: [str], src: test.py}
          - state: {args: [], returns: ["List[str]"], src: test.py}
          - works: {args: [], returns: [str], src: test.py}
          - leave: {args: [str], returns: [str], src: test.py}
          - left: {args: [], returns: ["List[str]"], src: test.py}
          - survive: {args: [str], returns: [], src: test.py}
        other:
          - secret: {args: [], returns: [str], src: other.py}
      """)
    try folder.write(String(contentsOfFile: network.file, encoding: .utf8), to: "outside/init.yaml")
    try network.deploy()
    return (network, server)
  }

  @Test("nothing that a Python procedure tries gets it out of its worker", arguments: users)
  func python(user: User) async throws {
    let (network, server) = try Self.network(user)
    defer { server.signalGroup(SIGKILL) }
    let client = network.client()
    #expect(try await client.call("test.works", on: "s1") as String == "x\n")
    let state = try await client.call("test.state", on: "s1") as [String]
    #expect(state.contains("NoNewPrivs:\t1") && state.contains("Seccomp:\t2"), "\(state)")
    #expect(state.contains("CapEff:\t0000000000000000"), "\(state)")
    for (name, code) in Self.attempts {
      let code =
        try code
        .replacingOccurrences(of: "PID", with: "\(server.pid)")
        .replacingOccurrences(of: "DATA", with: network.directory.file("data/s1"))
        .replacingOccurrences(of: "CONFIG", with: "\(ConfigHome.path)/simplerpc")
        .replacingOccurrences(of: "PORT", with: "\(network.port("s1"))")
        .replacingOccurrences(of: "OUTSIDE", with: network.directory.file("outside"))
        .replacingOccurrences(of: "SECRETS", with: network.directory.file("secrets"))
        .replacingOccurrences(of: "TOOLS", with: Programs.directory)
      do throws(RPCError) {
        let answer =
          try await client.call("test.attempt", code, on: "s1", options: .deadline(.seconds(20))) as String
        #expect(answer != "escaped" && answer != "SyntaxError" && answer != "NameError", "\(name): \(answer)")
      } catch {
        Issue.record("\(name): \(error)")
      }
    }
    #expect(try network.directory.read("outside/here") == "here")
    #expect(try network.lines().call("other.secret") == .values(["hidden"]))
    // What a call writes is gone with it.
    let folder = try await client.call("test.leave", "x", on: "s1") as String
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/left"))
    #expect(try await client.call("test.left", on: "s1") as [String] == [])
    let word = "30\(UInt32.random(in: 1_000_000...9_999_999))"
    try await client.call("test.survive", word, on: "s1") as Void
    #expect(try await client.call("test.works", on: "s1") as String == "x\n")
    let isLeft = try run("pgrep", ["-f", "sleep \(word)"]).ending == .code(0)
    #expect(!isLeft)
    await client.close()
    server.signal(SIGTERM)
    try server.waitForEnd()
    #expect(!FileManager.default.fileExists(atPath: folder))
  }

  /// In the words of Lua: each is an expression that must raise, or be nil.
  private static let luaAttempts = [
    "io.open('DATA/server-key')", "os.execute('true')", "os.getenv('SECRET')", "os.remove('OUTSIDE/here')",
    "os.rename('OUTSIDE/here', 'OUTSIDE/there')", "os.tmpname()", "os.exit()", "require('io')",
    "package.loaded.io",
    "package.loadlib('/lib/x86_64-linux-gnu/libc.so.6', 'system')", "dofile('OUTSIDE/init.yaml')",
    "loadfile('OUTSIDE/init.yaml')", "load('return 1')", "loadstring('return 1')", "debug.getregistry()",
    "debug.getinfo(1)", "string.dump(attempt)", "collectgarbage('stop')",
    "setmetatable({}, {__gc = function() end})", "rawset(getmetatable('').__index, 'upper', print)",
    "rpc.call('s1', 'system.deploy_begin', 'x', 'me', '', true, '')",
    "rpc.call('s1', 'system.deploy_unlock', 'me')",
    "rpc.call('s1', 'system.source', 'other', 'secret', {})", "rpc.call('s1', 'system.stats')",
    "rpc.call('s1', 'other.secret')", "rpc.call(nil, 'other.secret')",
    "rpc.call('127.0.0.1', 'other.secret')",
  ]

  @Test("nothing that a Lua procedure tries gets it out of its sandbox")
  func lua() throws {
    let network = try Network(["s1"])
    let expressions = Self.luaAttempts.map { expression in
      let code =
        expression
        .replacingOccurrences(of: "DATA", with: network.directory.file("data/s1"))
        .replacingOccurrences(of: "OUTSIDE", with: network.directory.path)
      return "function() return \(code) end"
    }
    try network.directory.write("here", to: "here")
    try network.directory.write(
      """
      local attempts = {\(expressions.joined(separator: ", "))}
      function attempt(number)
        local isDone, result = pcall(attempts[number])
        if isDone and result ~= nil then return "escaped" end
        return tostring(result)
      end
      function secret() return "hidden" end
      """, to: "test.lua")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [attempt]}
        - other: {providers: [s1], tenants: [me], rpcs: [secret]}
      rpc:
        test:
          - attempt: {args: [int], returns: [str], src: test.lua}
        other:
          - secret: {args: [], returns: [str], src: test.lua}
      """)
    try network.deploy()
    let caller = try network.lines()
    for (index, expression) in Self.luaAttempts.enumerated() {
      let answer = try caller.call("test.attempt", "[\(index + 1)]")
      #expect(answer.exceptionType == nil && answer != .values(["escaped"]), "\(expression): \(answer)")
    }
    #expect(try network.directory.read("here") == "here")
    #expect(try caller.call("other.secret") == .values(["hidden"]))
  }
}
