import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("An init.yaml that is wrong")
struct InitFileErrorTests {
  static let valid = """
    network:
      servers:
        - s1: {ip: 127.0.0.1, port: 8181}
        - s2: {ip: 127.0.0.1, port: 8282}
      clients:
        - c1: {ip: 127.0.0.1, port: 6000}
    service:
      - text:
          providers: [s1, s2]
          tenants: [c1]
          rpcs: [f]
    rpc:
      text:
        - f: {args: [int, "List[str]"], returns: [str], src: f.py}
    """

  /// What is reported for a text in a directory that holds `f.py`, `g.lua`, `latin.py` and a directory `d.py`.
  static func errors(_ text: String) throws -> [String] { try errors(bytes: Array(text.utf8)) }

  static func errors(bytes: [UInt8]) throws -> [String] {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write("def f(a, b): pass\ndef other(): pass\n", to: "f.py")
    try directory.write("function f(a) end", to: "g.lua")
    try directory.write("def f(): pass", to: "d.py/inside")
    try Disk(directory: directory.path).write(
      Array("def f(): return '".utf8) + [0xe9] + Array("'".utf8), to: "latin.py", sync: false)
    do throws(InitFileErrors) {
      _ = try InitFile.parse(bytes, path: directory.path + "/init.yaml")
      return []
    } catch {
      let prefix = directory.path + "/init.yaml:"
      return error.description.split(separator: "\n").map { String($0).replacing(prefix, with: "") }
    }
  }

  @Test("the text that the tables below change is right")
  func baseline() throws {
    #expect(try Self.errors(Self.valid) == [])
  }

  /// A change to the valid text, and what is said about it.
  typealias Change = (from: String, to: String, errors: [String])

  static let changes = networkChanges + procedureChanges

  @Test("each error is told with its line and column", arguments: changes.indices)
  func change(index: Int) throws {
    let change = Self.changes[index]
    try #require(Self.valid.contains(change.from), "\(change.from)")
    let found = try Self.errors(Self.valid.replacing(change.from, with: change.to, maxReplacements: 1))
    #expect(found == change.errors)
  }

  static let documents: [(text: String, error: String)] = [
    ("", "1:1: the file is empty; it needs at least 'network' with its 'servers'"),
    ("# nothing\n", "1:1: the file is empty; it needs at least 'network' with its 'servers'"),
    ("---\n", "1:1: the file is empty; it needs at least 'network' with its 'servers'"),
    ("- a\n", "1:1: the file must be a map with 'network', 'service', 'rpc', found a list"),
    ("hello", "1:1: the file must be a map with 'network', 'service', 'rpc', found 'hello'"),
    ("network:\n", "1:9: 'network' is empty: the servers and clients"),
    ("network: {}\n", "1:10: 'servers' is missing in 'network': declare at least one"),
    ("network:\n  servers: []\n", "2:12: 'servers' is empty: declare at least one"),
    ("network: {servers: 3}", "1:20: 'servers' must be a list or a map of entries 'NAME: {…}', found '3'"),
    ("network: [", "2:1: not valid YAML: did not find expected node content while parsing a flow node"),
    ("a: \"b", "1:6: not valid YAML: found unexpected end of stream while scanning a quoted scalar"),
    ("a\u{1}b", "1:2: not valid YAML: control characters are not allowed"),
    ("ä: \u{1}", "1:4: not valid YAML: control characters are not allowed"),
    ("a\0b", "1:2: not valid YAML: control characters are not allowed"),
    (String(repeating: "[", count: 100), "1:65: lists and maps nest deeper than 64 levels"),
    ("a: &a [*a]", "1:8: unknown alias '*a': there is no anchor '&a' before it"),
  ]

  @Test("what is not an init.yaml at all is told so", arguments: documents.indices)
  func document(index: Int) throws {
    #expect(try Self.errors(Self.documents[index].text).first == Self.documents[index].error)
  }

  @Test("bytes that are not UTF-8 are told where they are")
  func encoding() throws {
    #expect(try Self.errors(bytes: Array("a: b\nä: ".utf8) + [0xff]) == ["2:4: the file is not UTF-8 text"])
  }

  @Test("an alias works, and errors point at it rather than at its anchor")
  func alias() throws {
    let shared = Self.valid.replacing("[s1, s2]", with: "&p [s1, s2]")
    #expect(
      try Self.errors(shared.replacing("rpcs: [f]", with: "rpcs: *p")).first?.hasPrefix("9:22") == true
    )
    #expect(try Self.errors(shared + "\n    - *p").first?.hasPrefix("15:7: an entry of") == true)
  }

  @Test("aliases of aliases do not multiply without bound")
  func bomb() throws {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1..<12 {
      let aliases = [String](repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      text += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(try Self.errors(text) == ["6:45: more than 1000000 values once its aliases are expanded"])
  }

  @Test("errors in every section come together, in the order of the file")
  func together() throws {
    let text = Self.valid.replacing("port: 8181", with: "port: x").replacing("[c1]", with: "[c7]")
      .replacing("[int,", with: "[itn,").replacing("f.py", with: "no.py")
    #expect(
      try Self.errors(text).map { String($0.prefix { $0 != " " }) } == [
        "3:33:", "10:17:", "14:18:", "14:58:",
      ])
  }

  @Test("beyond a hundred errors the rest is counted")
  func many() throws {
    for (count, last) in [(100, ""), (101, "and 1 more error"), (250, "and 150 more errors")] {
      var text = Self.valid
      for index in 0..<count { text += "\nkey\(index): 1" }
      let errors = try Self.errors(text)
      #expect(errors.count == (count > 100 ? 101 : count))
      if count > 100 { #expect(errors.last == last) }
    }
  }

  @Test("a file that is not there, or is not a file, is told without a line")
  func unreadable() {
    func message(_ path: String) -> String {
      do throws(InitFileErrors) {
        _ = try InitFile.load(path)
        return ""
      } catch {
        return error.description
      }
    }
    #expect(message("/nowhere/init.yaml") == "/nowhere/init.yaml: no such file")
    #expect(message("/tmp") == "/tmp: it is a directory")
  }

  @Test("a file is bounded just above its limit")
  func size() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let limit = DeploymentLimits.initFileBytesMax
    let path = directory.path + "/init.yaml"
    try directory.write("def f(a, b): pass", to: "f.py")
    let padding = String(repeating: " ", count: limit - Self.valid.utf8.count - 2)
    try directory.write(Self.valid + "\n#" + padding, to: "init.yaml")
    #expect(throws: Never.self) { try InitFile.load(path) }
    try directory.write(Self.valid + "\n# " + padding, to: "init.yaml")
    #expect { try InitFile.load(path) } throws: {
      "\($0)".contains("has \(limit + 1) bytes, the limit is \(limit)")
    }
  }

  @Test("random changes never crash the reader")
  func noise() {
    var generator = SeededRandom(seed: 7)
    let base = Array(Self.valid.utf8)
    let spice = Array("{}[]:,&*!|>'\"%@`#-?\n\t x\u{0}".utf8) + [0xc3, 0xff]
    for _ in 0..<3000 {
      var bytes = base
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: bytes.indices, using: &generator)
        if Bool.random(using: &generator) {
          bytes[index] = spice.randomElement(using: &generator) ?? 0
        } else {
          bytes.remove(at: index)
        }
      }
      var reader = InitFileReader(file: "f", checksSources: false, languages: .all)
      reader.read(bytes)
    }
  }
}
