import Foundation
import TestSupport
import Testing

@Suite("The JSON Schema of init.yaml")
struct SchemaTests {
  static let path = "\(Programs.repository)/Docs/init.schema.json"

  /// What PyPI's jsonschema says of each text: `ok`, or `wrong` and why.
  static func verdicts(_ texts: [String]) throws -> [String] {
    let folder = TemporaryDirectory()
    let files = try texts.enumerated().map { try folder.write($1, to: "\($0).yaml") }
    let interop =
      ProcessInfo.processInfo.environment["RPC_INTEROP_DIR"] ?? "\(Programs.repository)/.build/interop"
    let outcome = try run(
      "\(interop)/bin/python", ["\(Programs.repository)/Tests/Interop/check_schema.py", path] + files)
    guard outcome.ending == .code(0), outcome.lines.count == texts.count else { throw Failure("\(outcome)") }
    return outcome.lines
  }

  /// Whether the reader takes it, as far as sources do not count.
  static func isRead(_ text: String) throws -> Bool {
    let folder = TemporaryDirectory()
    let file = try folder.write(text, to: "init.yaml")
    let outcome = try run(Programs.initializer, ["--list-servers", file])
    guard [.code(0), .code(2)].contains(outcome.ending) else { throw Failure("\(outcome)") }
    return outcome.ending == .code(0)
  }

  /// Every init.yaml of the repository and of its documents.
  static func examples() throws -> [(place: String, text: String)] {
    let files = ["init.yaml", "Tests/Fixtures/base/init.yaml"]
    var examples = try files.map { file in
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(Programs.repository)/\(file)"))
      return (file, String(decoding: data, as: UTF8.self))
    }
    for document in try DocumentBlock.files() {
      for block in try DocumentBlock.all(in: document) where block.name == "init.yaml" {
        examples.append((block.place, block.text))
      }
    }
    return examples
  }

  @Test("Docs/init.schema.json is what the reader's tables say; 'initializer schema' writes it again")
  func current() throws {
    let written = String(decoding: try Data(contentsOf: URL(fileURLWithPath: Self.path)), as: UTF8.self)
    #expect(try run(Programs.initializer, ["schema"]).output == written)
  }

  @Test("it takes every init.yaml of the repository and its documents")
  func takesExamples() throws {
    let examples = try Self.examples()
    #expect(examples.count >= 3)
    for (example, verdict) in zip(examples, try Self.verdicts(examples.map(\.text))) {
      #expect(verdict == "ok", "\(example.place)")
    }
  }

  @Test("every example names it in its first line, but the base format, which is as it was agreed")
  func modelines() throws {
    for (place, text) in try Self.examples() where place != "Tests/Fixtures/base/init.yaml" {
      let first = text.split(separator: "\n")[0]
      #expect(first.hasPrefix("# yaml-language-server: $schema="), "\(place)")
      guard place == "init.yaml" else { continue }
      let named = first.split(separator: "=")[1]
      #expect(FileManager.default.fileExists(atPath: "\(Programs.repository)/\(named)"))
    }
  }

  /// A file with every key that there is, in more than one form.
  static let whole = """
    network:
      servers:
        - s1: {ip: 127.0.0.1, port: 8181}
        - s2: {host: example.org, port: "8282", key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl}
      clients:
        c1: {ip: 10.0.0.0/8}
        c2: {port: 6000, ip: "::1"}
    services:
      one:
        providers: [s1, s2]
        tenants: [c1, c2, s1, service two]
        rpcs: [a, b]
        isolation: required
        network: true
        read: [/srv/data]
        write: [/srv/out]
        workers: 2
        python: "3.12"
      two: {providers: [], tenants: [], rpcs: [], python: 3.11}
    rpc:
      one:
        - a: {args: [int, "List[int]"], returns: [], src: a.py, timeout: 500ms, memory: 64MiB, doc: A thing.}
        - a: {args: [x: str, y: {type: bool, field: 3}], returns: [{type: int, field: 2}], src: a.py, timeout: 2.5}
        - b:
            args: {left: "Dict[str, Optional[int]]", right: Any}
            returns: [None, bytes]
            src: b
            language: lua
            function: other
            idempotent: true
            memory: 1048576
            grpc: DoB
      two:

    """

  /// The whole file with one thing changed, which both refuse.
  static let wrong: [(from: String, to: String)] = [
    ("network:\n", "networks:\n"), ("port: 8181", "port: 0"), ("port: 8181", "port: 65536"),
    ("port: 8181", "port: http"), ("port: 8181", "prot: 8181"), ("ip: 127.0.0.1, ", ""),
    ("host: example.org", "host: example.org, ip: 127.0.0.1"), (", port: 8181", ""),
    ("{ip: 127.0.0.1, port: 8181}", "127.0.0.1"), ("{ip: 10.0.0.0/8}", "{port: 1}"),
    ("{ip: 10.0.0.0/8}", "null"),
    ("c1: {", "1c: {"), ("c1: {", "\"c 1\": {"), ("services:", "services: []\nservice:"),
    ("providers: [s1, s2]", "providers: s1"), ("providers: [s1, s2]", "provider: [s1, s2]"),
    ("providers: [s1, s2]", "providers: [s1, s1]"), ("    rpcs: [a, b]\n", ""),
    ("isolation: required", "isolation: strict"), ("network: true", "network: sometimes"),
    ("network: true", "network: \"true\""), ("read: [/srv/data]", "read: [srv/data]"),
    ("read: [/srv/data]", "read: /srv/data"), ("workers: 2", "workers: 0"), ("workers: 2", "workers: 1025"),
    ("workers: 2", "workers: many"), ("\"3.12\"", "\"4.0\""), ("\"3.12\"", "newest"),
    ("\"3.12\"", "/usr/bin/python3"), ("\"3.12\"", "[3.12]"), ("python: \"3.12\"", "requirements: [a.txt]"),
    ("[int, ", "[string, "), ("[int, ", "[List, "), ("[int, ", "[[int], "),
    ("args: [int, \"List[int]\"]", "args: int"), ("returns: [], ", "returns: int, "),
    (", src: a.py, timeout: 500ms", ", timeout: 500ms"), ("500ms", "500 millis"), ("500ms", "fast"),
    ("2.5", "0"),
    ("2.5", "86401"), ("64MiB", "64 megabytes"), ("1048576", "1048575"), ("language: lua", "language: perl"),
    ("idempotent: true", "idempotent: 1"), ("grpc: DoB", "grpc: Do-B"), ("field: 3", "field: 0"),
    ("field: 2", "field: 536870912"), ("field: 2", "field: 19500"), ("field: 2", "filed: 2"),
    ("left: \"", "9left: \""), ("doc: A thing.", "docs: A thing."), ("  two:\n", "  two: none\n"),
  ]

  @Test("it takes every key in every form that the reader takes, and refuses what the reader refuses")
  func agrees() throws {
    let texts = try Self.wrong.map { from, to in
      let range = try #require(Self.whole.range(of: from), "\(from)")
      return Self.whole.replacingCharacters(in: range, with: to)
    }
    let verdicts = try Self.verdicts([Self.whole] + texts)
    #expect(verdicts[0] == "ok")
    #expect(try Self.isRead(Self.whole))
    for ((from, to), (text, verdict)) in zip(Self.wrong, zip(texts, verdicts.dropFirst())) {
      #expect(verdict.hasPrefix("wrong"), "the schema takes '\(to)' for '\(from)'")
      #expect(try !Self.isRead(text), "the reader takes '\(to)' for '\(from)'")
    }
  }

  @Test("it says something about every key, and requires what the reader requires")
  func documented() throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: Self.path))
    let schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let definitions = try #require(schema["definitions"] as? [String: [String: Any]])
    var count = 0
    for (name, definition) in definitions {
      for (key, value) in definition["properties"] as? [String: [String: Any]] ?? [:] {
        #expect((value["description"] as? String)?.hasSuffix(".") == true, "\(name).\(key)")
        count += 1
      }
    }
    #expect(count > 30)
  }
}
