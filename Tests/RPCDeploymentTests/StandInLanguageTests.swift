import Glibc
import RPCClient
import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCServer
import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// A language that only these tests know: lines of `name: expression`, where `a` has the arguments. Its workers are a
/// script that is started for each of them.
private enum Forms {
  static let entry = LanguageEntry(
    Language(name: "forms"), fileEndings: [".form"], comment: "#",
    outline: { SourceOutline(names: SourceOutline.words(in: $0), words: SourceOutline.words(in: $0)) }
  ) { context in
    var bounds = WorkerLimits()
    bounds.workers = 1
    return WorkerPool(
      title: "Forms", context: context, bounds: bounds,
      launcher: ExecLauncher(["python3", "-c", worker, modules], title: "Forms", loop: context.loop))
  }

  static let languages = Languages(Languages.all.entries + [entry])

  /// The worker's program speaks with the modules of Python's.
  private static let modules: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/") + "/Sources/RPCProcedures"
  }()

  private static let worker = """
    import os, socket, sys, time
    sys.path.insert(0, sys.argv[1])
    sys.dont_write_bytecode = True
    from Python import codec, errors, protocol, values

    connection = socket.socket(fileno=3)
    units, sources = {}, {}

    def read(count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                os._exit(0)
            data += more
        return data

    def answer(frame):
        connection.sendall(frame)

    def load(payload, call, flags):
        (unit, digest, name, function, _, _, _, source, _), _ = codec.decode(payload, 0)
        if source is not None:
            lines = source.decode().splitlines()
            sources[digest] = dict(line.split(": ", 1) for line in lines if ": " in line)
        units[unit] = sources[digest].get(function)
        if flags & protocol.ANSWERED and units[unit] is None:
            answer(errors.Failure("no form '%s'" % function, 0, name, "FailedPrecondition", 9).frame(call))
        elif flags & protocol.ANSWERED:
            answer(protocol.HEADER.pack(1, protocol.REPLY, 0, 0, call) + b"\\x90")

    def run(payload, call):
        unit = protocol.UNIT.unpack_from(payload)[0]
        out = bytearray(b"\\x91")
        values.encode_any(eval(units[unit], {"a": codec.decode(payload, 8)[0], "os": os, "time": time}), out)
        answer(protocol.HEADER.pack(len(out), protocol.REPLY, 0, 0, call) + out)

    while True:
        length, kind, flags, _, call = protocol.HEADER.unpack(read(16))
        payload = read(length)
        if kind == protocol.LOAD:
            load(payload, call, flags)
        elif kind == protocol.CALL:
            run(payload, call)
    """
}

@Suite("A language that is only an entry", .serialized)
struct StandInLanguageTests {
  private let directory = TemporaryDirectory(inMemory: true)
  private let key = PrivateKey.random()

  private func start() throws -> Server {
    var options = ServerOptions()
    options.dataDirectory = directory.file("data")
    options.deployersFile = try directory.write("\(key.publicKey)\n", to: "deployers")
    options.loops = 1
    options.languages = Forms.languages
    let server = try Server(host: "127.0.0.1", port: 0, options: options)
    try server.start()
    return server
  }

  private func deploy(to server: Server) async throws -> (exit: Initializer.Exit, output: String) {
    try directory.write(
      """
      network:
        servers: [s1: {ip: 127.0.0.1, port: \(server.port)}]
        clients: [me: {ip: 127.0.0.1}]
      service:
        - forms: {providers: [s1], tenants: [me], rpcs: [double, pid, die, nap]}
      rpc:
        forms:
          - double: {args: [int], returns: [int], src: some.form}
          - pid: {returns: [int], src: some.form}
          - die: {returns: [int], src: some.form}
          - nap: {returns: [int], src: others.txt, language: forms, timeout: 300ms}
      """, to: "init.yaml")
    var options = Initializer.Options()
    options.file = directory.file("init.yaml")
    options.key = key
    options.languages = Forms.languages
    let texts = Lock("")
    let exit = await Initializer(options: options).run(
      output: { text in texts.withLock { $0 += text } }, errors: { text in texts.withLock { $0 += text } })
    return (exit, texts.withLock { $0 })
  }

  @Test("its procedures are deployed, called, ended and started again like any others")
  func wholeLife() async throws {
    let server = try start()
    defer { server.stop() }
    try directory.write("double: a[0] * 2\npid: os.getpid()\ndie: os.kill(os.getpid(), 9)\n", to: "some.form")
    try directory.write("nap: time.sleep(60)\n", to: "others.txt")
    let first = try await deploy(to: server)
    #expect(first.exit == .done, "\(first.output)")
    let again = try await deploy(to: server)
    #expect(again.output.contains("Everything is up to date."), "\(again.output)")

    let client = try RPCClient(
      topology: InitFile.load(directory.file("init.yaml"), languages: Forms.languages).network)
    let doubled: Int = try await client.call("forms.double", 21)
    #expect(doubled == 42)
    let pid: Int = try await client.call("forms.pid")
    let same: Int = try await client.call("forms.pid")
    #expect(pid == same)

    let killed = await failure { let _: Int = try await client.call("forms.die") }
    #expect(killed?.message == "the procedure's worker process was ended by signal 9 (SIGKILL)")
    let second: Int = try await client.call("forms.pid")
    #expect(second != pid)

    // The server ends the worker of a call that is out of time.
    let late = await failure { let _: Int = try await client.call("forms.nap") }
    #expect(late?.exception == .deadlineExceeded && late?.executed == .maybe)
    #expect(late?.message == "forms.nap did not finish within its deadline of 300 ms")
    let third: Int = try await client.call("forms.pid")
    #expect(third != second)
    #expect(kill(pid_t(second), 0) != 0)
    await client.close()
  }

  @Test("a source that it refuses is not deployed, and the words are its own")
  func refused() async throws {
    let server = try start()
    defer { server.stop() }
    try directory.write("double: 1\n# pid\ndie: 1\n", to: "some.form")
    try directory.write("nap: 1\n", to: "others.txt")
    let run = try await deploy(to: server)
    #expect(run.exit == .failed)
    #expect(run.output.contains("no form 'pid'"), "\(run.output)")
  }

  @Test("a server that does not have the language says so")
  func unknown() async throws {
    var options = ServerOptions()
    options.dataDirectory = directory.file("other")
    options.deployersFile = try directory.write("\(key.publicKey)\n", to: "deployers")
    options.loops = 1
    let server = try Server(host: "127.0.0.1", port: 0, options: options)
    try server.start()
    defer { server.stop() }
    try directory.write("double: 1\npid: 1\ndie: 1\n", to: "some.form")
    try directory.write("nap: 1\n", to: "others.txt")
    let run = try await deploy(to: server)
    #expect(run.exit == .failed)
    #expect(run.output.contains("this server runs no forms"), "\(run.output)")
  }

  private func failure(_ body: () async throws -> Void) async -> RPCError? {
    do {
      try await body()
      return nil
    } catch {
      return error as? RPCError
    }
  }
}
