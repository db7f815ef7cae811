import RPCClient
import RPCKeys
import RPCProcedures
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// Real servers on free ports with a file that names them.
final class RealNetwork {
  let directory = TemporaryDirectory(inMemory: true)
  private(set) var servers: [Server] = []
  private var ports: [Int] = []

  init() throws {
    for index in 0..<2 { try start(index, port: 0) }
    try directory.write("def concat(a, b):\n    return f'{a}{b}'\n", to: "src/concat.py")
    try directory.write("def half(n):\n    return n // 2, n % 2\n", to: "src/half.py")
    try write()
  }

  deinit {
    for server in servers { server.stop() }
  }

  /// What may deploy here.
  static let key = PrivateKey.random()
  static let clientOptions: ClientOptions = {
    var options = ClientOptions()
    options.key = key
    return options
  }()

  private func start(_ index: Int, port: Int) throws {
    var options = ServerOptions()
    options.dataDirectory = "\(directory.path)/data\(index)"
    options.deployersFile = try directory.write("\(Self.key.publicKey)\n", to: "deployers")
    options.loops = 1
    let server = try Server(host: "127.0.0.1", port: port, options: options)
    try server.start()
    if index == servers.count {
      servers.append(server)
      ports.append(server.port)
    } else {
      servers[index] = server
    }
  }

  func stop(_ index: Int) { servers[index].stop() }
  func restart(_ index: Int) throws { try start(index, port: ports[index]) }

  var file: String { directory.path + "/init.yaml" }

  func write(
    address: String = "127.0.0.1", rpcs: [String] = ["concat", "half"], tenants: String = "me",
    declarations: [String: String] = [
      "concat": "{args: [int, str], returns: [str], src: src/concat.py}",
      "half": "{args: [n: int], returns: [int, int], src: src/half.py}",
    ]
  ) throws {
    let entries = rpcs.map { "    - \($0): \(declarations[$0] ?? "")" }.joined(separator: "\n")
    try directory.write(
      """
      network:
        servers:
          - s1: {ip: 127.0.0.1, port: \(ports[0])}
          - s2: {ip: 127.0.0.1, port: \(ports[1])}
        clients:
          - me: {ip: \(address)}
          - other: {ip: 10.0.0.0/8}
      service:
        - text: {providers: [s1, s2], tenants: [\(tenants)], rpcs: [\(rpcs.joined(separator: ", "))]}
      rpc:
        text:
      \(entries)
      """, to: "init.yaml")
  }

  struct Run {
    var exit: Initializer.Exit
    var output: String
    var errors: String
  }

  func initialize(_ change: (inout Initializer.Options) -> Void = { _ in }) async -> Run {
    var options = Initializer.Options()
    options.file = file
    options.key = Self.key
    change(&options)
    let texts = Lock((output: "", errors: ""))
    let exit = await Initializer(options: options).run(
      output: { text in texts.withLock { $0.output += text } },
      errors: { text in texts.withLock { $0.errors += text } })
    return texts.withLock { Run(exit: exit, output: $0.output, errors: $0.errors) }
  }
}

@Suite("The initializer and real servers", .serialized)
struct NetworkTests {
  @Test("distributes, is up to date the second time, and changes what changed")
  func wholePath() async throws {
    let network = try RealNetwork()
    let first = await network.initialize()
    #expect(first.exit == .done)
    #expect(first.output.contains("generation 1 in force, sent 2 sources"), "\(first.output)")
    let client = try RPCClient(topology: InitFile.load(network.file).network)
    let text: String = try await client.call("text.concat", 32, "hello", on: "s1")
    #expect(text == "32hello")
    let (half, rest): (Int, Int) = try await client.call("text.half", 7, on: "s2")
    #expect((half, rest) == (3, 1))

    let second = await network.initialize()
    #expect(second.output.contains("Everything is up to date."))
    #expect(!second.output.contains("sent"))

    try network.directory.write("def half(n):\n    return 0, 0\n", to: "src/half.py")
    let third = await network.initialize()
    #expect(third.output.contains("generation 2 in force, sent 1 source ("))
    let zero: (Int, Int) = try await client.call("text.half", 7, on: "s2")
    #expect(zero == (0, 0))
    await client.close()
  }

  @Test("a procedure that does not load is named with its place, and no server changes")
  func refused() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize().exit == .done)
    try network.directory.write("def half(n, m):\n    return 0, 0\n", to: "src/half.py")
    let run = await network.initialize()
    #expect(run.exit == .failed)
    #expect(run.output.contains("src/half.py:1: "), "\(run.output)")
    #expect(run.output.contains("(text.half(n: int) -> (int, int))"), "\(run.output)")
    #expect(run.output.contains("Nothing was changed on any server"))
    let client = try RPCClient(topology: InitFile.load(network.file).network)
    let (half, _): (Int, Int) = try await client.call("text.half", 8, on: "s1")
    #expect(half == 4)
    await client.close()
  }

  @Test("a server that is down is named and nobody switches; it catches up with the next run")
  func missed() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize().exit == .done)
    try network.write(rpcs: ["concat"])
    network.stop(1)
    let run = await network.initialize()
    #expect(run.exit == .failed)
    #expect(run.output.contains("s2") && run.output.contains("missed"))
    let client = try await RPCClient(following: InitFileSource(network.file))
    let (half, _): (Int, Int) = try await client.call("text.half", 8, on: "s1")
    #expect(half == 4)
    try network.restart(1)
    #expect(await network.initialize().exit == .done)
    await #expect(throws: RPCError.self) {
      let _: (Int, Int) = try await client.call("text.half", 8, on: "s2")
    }
    await client.close()
  }

  @Test("tenants that change in the file change at once")
  func tenants() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize().exit == .done)
    try network.write(tenants: "other")
    let run = await network.initialize()
    #expect(run.output.contains("tenants of text: +other -me"))
    #expect(run.output.contains("no source sent"))
    let client = try RPCClient(topology: InitFile.load(network.file).network)
    do {
      let _: String = try await client.call("text.concat", 1, "x", on: "s1")
      Issue.record("a client that is not a tenant was served")
    } catch {
      #expect(error.exception == .clientNotRegistered)
    }
    await client.close()
  }

  @Test("a client whose address changed loses its right at once, and the generation stays")
  func addressChanged() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize().exit == .done)
    let client = try RPCClient(topology: InitFile.load(network.file).network)
    let text: String = try await client.call("text.concat", 1, "a", on: "s1")
    #expect(text == "1a")
    try network.write(address: "10.9.9.9")
    let run = await network.initialize()
    #expect(run.exit == .done)
    #expect(run.output.contains("addresses and keys in force, generation 1 stays"), "\(run.output)")
    await #expect {
      let _: String = try await client.call("text.concat", 1, "a", on: "s1")
    } throws: {
      ($0 as? RPCError)?.exception == .clientNotRegistered
    }
    #expect(await network.initialize().output.contains("Everything is up to date."))
    await client.close()
  }

  @Test("a deployment that was refused the lock does no harm to the one that holds it")
  func twoAtOnce() async throws {
    let network = try RealNetwork()
    let file = try InitFile.load(network.file)
    var options = ClientOptions()
    options.key = RealNetwork.key
    let client = RPCClient(topology: file.network, options: options)
    let peer = ClientPeer(client: client, server: "s1", timeout: .seconds(30))
    let manifest = try #require(file.manifests()["s1"])
    let request = try await RealNetwork.request("slow", manifest, file, peer)
    for digest in try await peer.begin(request) {
      let bytes = try #require(file.sources[digest])
      _ = try await peer.put(
        DeployPut(transaction: "slow", digest: digest, offset: 0, data: bytes, last: true))
    }
    #expect(try await peer.prepare("slow") == [])
    let other = await network.initialize { $0.servers = ["s1"] }
    #expect(other.exit == .failed)
    #expect(other.output.contains(" me is deploying"), "\(other.output)")
    #expect(try await peer.status().preparedTransaction == "slow")
    #expect(try await peer.commit("slow") == 1)
    #expect(try await peer.commit("slow") == 1)
    let catalogue = try await peer.catalogue()
    let expected = ServerCatalogue(
      DeploymentContent(manifest: manifest, topology: file.network), generation: 1)
    #expect(catalogue.server == "s1" && catalogue.generation == 1 && catalogue.digest == expected.digest)
    #expect(catalogue.deployedServices == expected.services)
    await client.close()
  }

  /// A deployment that is open on s1, by a client of its own.
  private func open(_ network: RealNetwork, _ transaction: String) async throws -> (RPCClient, ClientPeer) {
    let file = try InitFile.load(network.file)
    let client = RPCClient(topology: file.network, options: RealNetwork.clientOptions)
    let peer = ClientPeer(client: client, server: "s1", timeout: .seconds(30))
    let manifest = try #require(file.manifests()["s1"])
    _ = try await peer.begin(try await RealNetwork.request(transaction, manifest, file, peer))
    return (client, peer)
  }

  @Test("a lock ends with the connection of its deployment, at once")
  func connectionEnds() async throws {
    let network = try RealNetwork()
    let (client, _) = try await open(network, "gone")
    let blocked = await network.initialize { $0.servers = ["s1"] }
    #expect(blocked.output.contains(" me is deploying"), "\(blocked.output)")
    await client.close()
    // The server learns of it when it reads the end; far sooner than a lease.
    var run = await network.initialize { $0.servers = ["s1"] }
    for _ in 0..<1000 where run.exit != .done { run = await network.initialize { $0.servers = ["s1"] } }
    #expect(run.exit == .done, "\(run.output)")
  }

  @Test("a lock can be ended, which says whose it was, and broken by force")
  func unlock() async throws {
    let network = try RealNetwork()
    let (client, peer) = try await open(network, "t1")
    var options = Initializer.Options()
    options.file = network.file
    options.key = RealNetwork.key
    var text = ""
    #expect(await Initializer(options: options).unlock(output: { text += $0 }, errors: { _ in }) == .done)
    #expect(
      text.contains("s1  unlocked; it was locked by \(RealNetwork.key.publicKey.fingerprint) me, for "),
      "\(text)")
    #expect(text.contains("s2  was not locked"), "\(text)")
    await #expect { try await peer.prepare("t1") } throws: { "\($0)".contains("no deployment 't1' is open") }
    let (other, _) = try await open(network, "t2")
    #expect(await network.initialize { $0.force = true }.exit == .done)
    await client.close()
    await other.close()
  }

  @Test("a dry run finds what a deployment would refuse, and changes nothing")
  func rehearsal() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize { $0.mode = .rehearse }.exit == .done)
    try network.directory.write("def half(n)\n    return 0, 0\n", to: "src/half.py")
    let dry = await network.initialize { $0.mode = .rehearse }
    let wet = await network.initialize()
    for run in [dry, wet] {
      #expect(run.exit == .failed)
      #expect(run.output.contains("src/half.py:1: "), "\(run.output)")
    }
    let client = try RPCClient(
      topology: InitFile.load(network.file, checkingSources: false).network,
      options: RealNetwork.clientOptions)
    let peer = ClientPeer(client: client, server: "s1", timeout: .seconds(30))
    var status = try await peer.status()
    // What isolates procedures is known once one was loaded.
    status.isolation = nil
    #expect(status == DeploymentStatus())
    await client.close()
  }

  @Test("a server that lost a source says that it is degraded, and the next run repairs it")
  func degraded() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize().exit == .done)
    network.stop(0)
    let objects = "\(network.directory.path)/data0/objects"
    for prefix in try Disk(directory: objects).list("") { try Disk(directory: objects).remove(prefix) }
    try network.restart(0)
    let client = try RPCClient(
      topology: InitFile.load(network.file).network, options: RealNetwork.clientOptions)
    let peer = ClientPeer(client: client, server: "s1", timeout: .seconds(30))
    #expect(try await peer.status().degraded?.contains("generation 1 is damaged") == true)
    let stats = try await client.invoke("system.stats", [], on: "s1").values[0]
    #expect(stats["degraded"]?.stringValue?.contains("generation 1 is damaged") == true)
    let run = await network.initialize()
    #expect(run.exit == .done)
    #expect(run.output.contains("! degraded: generation 1 is damaged"), "\(run.output)")
    #expect(try await peer.status().degraded == nil)
    #expect(try await client.invoke("system.stats", [], on: "s1").values[0]["degraded"] == nil)
    let text: String = try await client.call("text.concat", 32, "hello", on: "s1")
    #expect(text == "32hello")
    await client.close()
  }

  /// Each defines `f` in a way that a scan of the source may miss.
  static let sources = [
    "from importlib.metadata import version as f",
    "from operator import neg as unused, abs as f",
    "(f := abs)",
    "(f, g) = (abs, abs)",
    "def setup():\n    global f\n    f = abs\nsetup()",
    "x = 1 + \\\r\n    2\r\nf = \\\r\n    abs\r\n",
    "for f in [abs]: pass",
    "globals()[chr(102)] = abs",
    "import sys\nsetattr(sys.modules[__name__], 'f', abs)",
    "\u{feff}#!/usr/bin/env python3\ndef f(n): return abs(n)",
    "def \u{ff46}(n): return abs(n)",
    "# coding: latin-1\nf = abs",
    "'f' in dir() or exec('f = abs')",
  ]

  @Test("the language decides what a source defines: each way to define a function deploys")
  func definitions() async throws {
    let network = try RealNetwork()
    var declarations = ["lua": "{args: [int], returns: [int], src: src/lua.lua}"]
    for (index, source) in Self.sources.enumerated() {
      try network.directory.write(source, to: "src/p\(index).py")
      declarations["p\(index)"] = "{args: [Any], returns: [Any], src: src/p\(index).py, function: f}"
    }
    try network.directory.write("\u{feff}#!/usr/bin/lua\nfunction lua(n) return n end", to: "src/lua.lua")
    try network.write(rpcs: declarations.keys.sorted(), declarations: declarations)
    let run = await network.initialize()
    #expect(run.exit == .done, "\(run.output)\(run.errors)")
    let client = try RPCClient(topology: InitFile.load(network.file).network)
    for index in Self.sources.indices.dropFirst() {
      let value: Value = try await client.call("text.p\(index)", Value.int(-3), on: "s1")
      #expect(value == 3, "\(Self.sources[index])")
    }
    let same: Int = try await client.call("text.lua", 7, on: "s2")
    #expect(same == 7)
    await client.close()
  }

  @Test("a function that the language does not find is refused with a hint, and nothing changes")
  func missingFunction() async throws {
    let network = try RealNetwork()
    try network.directory.write("def helo(name): return name  # not hello", to: "src/hello.py")
    try network.write(
      rpcs: ["hello"], declarations: ["hello": "{args: [str], returns: [str], src: src/hello.py}"])
    let run = await network.initialize()
    #expect(run.exit == .failed)
    #expect(run.output.contains("hello.py has no function 'hello'"), "\(run.output)")
    let hint = "no function 'hello' was found in the source 'src/hello.py' (did you mean 'helo'?)"
    #expect(run.output.contains("hint: \(network.file):12:49: \(hint)"), "\(run.output)")
    let json = await network.initialize { $0.output = .json }
    #expect(try Value(json: String(json.output.dropLast()))["hints"]?.listValue?.count == 1)
    try network.directory.write("def helo(name): return name", to: "src/hello.py")
    let certain = await network.initialize()
    #expect(certain.exit == .wrongInput)
    #expect(
      certain.errors.contains("the source 'src/hello.py' has no function 'hello' (did you mean 'helo'?)"))
  }

  @Test("some servers can be named, and wrong input asks no server")
  func input() async throws {
    let network = try RealNetwork()
    let one = await network.initialize { $0.servers = ["s2"] }
    #expect(one.exit == .done)
    #expect(!one.output.contains("s1 "))
    let unknown = await network.initialize { $0.servers = ["s3"] }
    #expect(unknown.exit == .wrongInput)
    #expect(unknown.errors.contains("there is no server 's3' (did you mean 's1'?)"))
    try network.write(rpcs: ["concat", "hlf"])
    let wrong = await network.initialize { $0.output = .json }
    #expect(wrong.exit == .wrongInput)
    #expect(try Value(json: String(wrong.output.dropLast()))["ok"] == false)
  }
}
