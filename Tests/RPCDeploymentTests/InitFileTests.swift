import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// The repository's root, found from where this file is compiled.
let root = String(#filePath.dropLast("Tests/RPCDeploymentTests/InitFileTests.swift".count))

@Suite("An init.yaml that is right")
struct InitFileTests {
  @Test("the base format loads as it stands")
  func base() throws {
    let file = try InitFile.load(root + "Tests/Fixtures/base/init.yaml")
    #expect(
      file.network
        == Topology(
          servers: [
            Topology.Server(name: "s1", host: "127.0.0.1", port: 8181),
            Topology.Server(name: "s2", host: "127.0.0.1", port: 8282),
          ],
          clients: [
            Topology.Client(name: "c1", host: "127.0.0.1", port: 6000),
            Topology.Client(name: "c2", host: "127.0.0.1", port: 6001),
          ],
          services: [
            Topology.Service(name: "service1", providers: ["s1", "s2"], tenants: ["c1", "c2"]),
            Topology.Service(name: "service2", providers: ["s2"], tenants: ["c2"]),
          ]))
    #expect(
      file.procedures.map { "\($0.signature)" } == [
        "service1.rpc1(int, str) -> str", "service1.rpc1(int, int) -> int",
        "service1.rpc2(List[int], List[str]) -> str", "service2.rpc3(float, List[float]) -> str",
      ])
    #expect(file.procedures.map(\.language) == [.python, .python, .lua, .python])
    #expect(file.procedures.map(\.sourceName) == ["rpc1.py", "rpc1.py", "rpc2.lua", "a \"quoted\" name.py"])
    #expect(file.sources.count == 4)
    let manifests = file.manifests()
    #expect(manifests["s1"]?.procedures.count == 3)
    #expect(manifests["s2"]?.procedures.count == 4)
    for manifest in manifests.values { #expect(try Manifest(decoding: manifest.encode()) == manifest) }
  }

  @Test("the repository's own example loads and gives each server its procedures")
  func example() throws {
    let file = try InitFile.load(root + "init.yaml")
    #expect(file.network.servers.map(\.port) == [8181, 8282, 8383])
    #expect(file.manifests()["s1"]?.providedServices == ["clock", "text"])
    #expect(file.procedures.contains { $0.signature.parameters.isEmpty })
    #expect(file.procedures.contains { $0.signature.returns.count == 2 })
    let mean = try #require(file.procedures.first { $0.signature.name == "mean" })
    #expect(mean.timeoutMilliseconds == 2000)
    #expect(mean.memoryBytes == 64 << 20)
    #expect(mean.signature.description == "math.mean(numbers: List[float]) -> float")
  }

  @Test("a tool that only calls does without the sources")
  func withoutSources() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write(InitFileErrorTests.valid.replacing("f.py", with: "nowhere.py"), to: "init.yaml")
    let path = directory.path + "/init.yaml"
    #expect(throws: InitFileErrors.self) { try InitFile.load(path) }
    let file = try InitFile.load(path, checkingSources: false)
    #expect(file.network.servers.count == 2)
    #expect(file.sources.isEmpty)
  }

  static let plain = """
    network:
      servers:
        s1: {host: example.org, port: 1}
        s2: {ip: "::1", port: 65535}
      clients:
        office: {ip: 10.0.0.0/8}
        one: {ip: "fd00::1", port: 6000}
        roaming: {key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPdoDxE+kC0uIN1/g3AB/ulW1xCbdog5nd++toDtBl5c me@here}
    services:
      text: {providers: [s1], tenants: [office], rpcs: [f, g]}
    rpc:
      text:
        f:
          - {args: [int], returns: [], src: f.py}
          - {args: {a: float, b: "Optional[str]"}, returns: [Any], src: f.py, timeout: 500ms, memory: 1MiB}
        g:
          args: [x: int, str]
          src: other.txt
          language: lua
          function: g_impl
          timeout: 1.5
          doc: |
            Two
            lines.
    """

  @Test("the friendlier map form means the same, with every optional key")
  func mapForm() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write(Self.plain, to: "init.yaml")
    try directory.write("def f(*args): pass", to: "f.py")
    try directory.write("function g_impl(x, y) end", to: "other.txt")
    let file = try InitFile.load(directory.path + "/init.yaml")
    #expect(file.network.servers.map(\.host) == ["example.org", "::1"])
    #expect(
      file.network.clients == [
        Topology.Client(name: "office", host: "10.0.0.0/8"),
        Topology.Client(name: "one", host: "fd00::1", port: 6000),
        Topology.Client(name: "roaming", key: try PublicKey(parsing: Samples.key)),
      ])
    #expect(
      file.procedures.map { "\($0.signature)" } == [
        "text.f(int) -> None", "text.f(a: float, b: Optional[str]) -> Any", "text.g(x: int, str) -> None",
      ])
    #expect(file.procedures.map(\.timeoutMilliseconds) == [nil, 500, 1500])
    #expect(file.procedures[2].function == "g_impl")
    #expect(file.procedures[2].language == .lua)
    #expect(file.procedures[2].documentation == "Two\nlines.")
  }

  @Test("a byte order mark, YAML's own tags, CRLF and complete host names change nothing")
  func tolerated() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write("def f(a, b): pass", to: "f.py")
    let plain = try InitFile.parse(Array(InitFileErrorTests.valid.utf8), path: directory.path + "/init.yaml")
    let texts = [
      "\u{feff}" + InitFileErrorTests.valid,
      "\u{feff}" + InitFileErrorTests.valid.replacing("\n", with: "\r\n"),
      InitFileErrorTests.valid.replacing("port: 8181", with: "port: !!int 8181")
        .replacing("[c1]", with: "!!seq [!!str c1]").replacing("network:", with: "network: !!map"),
    ]
    for text in texts {
      let file = try InitFile.parse(Array(text.utf8), path: directory.path + "/init.yaml")
      #expect(file.network == plain.network)
      #expect(file.procedures == plain.procedures)
    }
    #expect(
      try InitFileErrorTests.errors("\u{feff}network: {servers: []}").first
        == "1:20: 'servers' is empty: declare at least one")
    var sixteen: [UInt8] = [0xff, 0xfe]
    for unit in "network:".utf16 { sixteen += [UInt8(unit & 0xff), UInt8(unit >> 8)] }
    #expect(
      try InitFileErrorTests.errors(bytes: sixteen) == ["1:1: the file is UTF-16 text; save it as UTF-8"])
    let named = InitFileErrorTests.valid.replacing(
      "ip: 127.0.0.1, port: 8181", with: "ip: localhost., port: 8181")
    let file = try InitFile.parse(Array(named.utf8), path: directory.path + "/init.yaml")
    #expect(file.network.servers[0].host == "localhost.")
  }

  @Test(
    "whatever a path may hold, its source's name breaks no line and leads nowhere",
    arguments: [
      "a\nb.py", "a..b.py", "...py", "\u{2028}.py", "a\u{85}\u{7}.py", "plain 'name'.py", "e\u{301}.py",
      "\u{e9}.py",
    ])
  func sourceNames(name: String) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write("def f(): return 1", to: name)
    let text = InitFileErrorTests.valid.replacing("[int, \"List[str]\"]", with: "[]")
      .replacing("f.py", with: Value.string(name).json)
    let file = try InitFile.parse(Array(text.utf8), path: directory.path + "/init.yaml")
    let shown = try #require(file.procedures.first?.sourceName)
    #expect(SourceName.problem(with: shown) == nil, "\(shown.debugDescription)")
    #expect((SourceName.problem(with: name) == nil) == shown.hasSameUTF8(as: name))
    #expect(file.sources.count == 1)
    let manifest = try #require(file.manifests()["s1"])
    #expect(try Manifest(decoding: manifest.encode()) == manifest)
  }

  static let durations: [(String, Int?)] = [
    ("500ms", 500), ("2s", 2000), ("2", 2000), ("0.5", 500), ("1.5m", 90_000), ("24h", 86_400_000),
    ("1ms", 1), ("24.1h", nil), ("0", nil), ("0.4ms", nil), ("-1s", nil), ("1 s", 1000), ("s", nil),
    ("1e3", nil), (".5s", nil), ("5.", nil), ("99999999999999999999h", nil), ("1d", nil), ("nan", nil),
  ]

  @Test("durations are read, and nothing else is", arguments: durations.indices)
  func duration(index: Int) {
    let (text, expected) = Self.durations[index]
    var reader = InitFileReader(file: "f", checksSources: false, languages: .all)
    let node = YamlNode(content: .scalar(text), place: .start)
    #expect(reader.milliseconds(node) == expected, "\(text)")
    #expect(reader.diagnostics.isEmpty == (expected != nil))
  }

  static let sizes: [(String, Int?)] = [
    ("64MiB", 64 << 20), ("1GiB", 1 << 30), ("1048576", 1 << 20), ("1048575", nil), ("1024GiB", 1 << 40),
    ("1025GiB", nil), ("2MB", 2_000_000), ("1.5MiB", 3 << 19), ("64 MiB", 64 << 20), ("64M", nil), ("", nil),
  ]

  @Test("sizes are read, and nothing else is", arguments: sizes.indices)
  func size(index: Int) {
    let (text, expected) = Self.sizes[index]
    var reader = InitFileReader(file: "f", checksSources: false, languages: .all)
    #expect(reader.bytes(YamlNode(content: .scalar(text), place: .start)) == expected, "\(text)")
  }
}
