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
  static let changes: [(from: String, to: String, errors: [String])] = [
    // Keys
    (
      "network:", "netwrok:",
      [
        "1:1: unknown key 'netwrok' in the file (did you mean 'network'?)",
        "1:1: 'network' is missing: the servers and clients",
      ]
    ),
    (
      "port: 8181", "prt: 8181",
      [
        "3:7: 'port' is missing: the port of server 's1'",
        "3:27: unknown key 'prt' in server 's1' (did you mean 'port'?)",
      ]
    ),
    ("port: 8181}", "port: 8181, port: 1}", ["3:39: server 's1' has 'port' twice; the first is at line 3"]),
    (
      "ip: 127.0.0.1, port: 8181}", "ip: 127.0.0.1, host: '::1', port: 8181}",
      [
        "3:27: server 's1' has 'ip' and 'host', which mean the same; the first is at line 3"
      ]
    ),
    (
      "      tenants: [c1]", "      tenant: [c1]",
      [
        "8:5: 'tenants' is missing: the clients that may call service 'text'; [] for none",
        "10:7: unknown key 'tenant' in service 'text' (did you mean 'tenants'?)",
      ]
    ),
    ("args: [int", "arg: [int", ["14:11: unknown key 'arg' in procedure 'text.f' (did you mean 'args'?)"]),
    (
      "src: f.py", "src: f.py, <<: x",
      [
        "14:64: unknown key '<<' in procedure 'text.f'; merge keys are not supported, write the keys out"
      ]
    ),
    ("src: f.py", "src: f.py, [a]: b", ["14:64: a key of procedure 'text.f' must be a name, found a list"]),
    // Names
    (
      "s1: {ip", "s2: {ip",
      [
        "4:7: server 's2' is declared twice; the first is at line 3",
        "9:19: service 'text' names provider 's1', which network.servers does not declare (did you mean 's2'?)",
      ]
    ),
    (
      "[s1, s2]", "[s1, s3]",
      [
        "9:23: service 'text' names provider 's3', which network.servers does not declare (did you mean 's1'?)"
      ]
    ),
    (
      "[s1, s2]", "[s1, s1]", ["9:23: service 'text' names 's1' twice in 'providers'; the first is at line 9"]
    ),
    (
      "[s1, s2]", "s1",
      ["9:18: 'providers' of service 'text' must be a list of names, found 's1' (write [s1])"]
    ),
    (
      "[s1, s2]", "[c1]",
      [
        "9:19: service 'text' names provider 'c1', which network.servers does not declare; it is a client (did you mean 's1'?)"
      ]
    ),
    ("[s1, s2]", "[[s1]]", ["9:19: 'providers' of service 'text' must hold names, found a list"]),
    (
      "tenants: [c1]", "tenants: [C2]",
      [
        "10:17: service 'text' names tenant 'C2', which network.clients does not declare (did you mean 'c1'?)"
      ]
    ),
    (
      "rpcs: [f]", "rpcs: [f, g]",
      [
        "11:17: service 'text' lists procedure 'g', which 'rpc' does not declare (did you mean 'f'?)"
      ]
    ),
    ("rpcs: [f]", "rpcs: []", ["14:7: service 'text' does not list procedure 'f' in its 'rpcs' at line 8"]),
    (
      "rpc:\n  text:", "rpc:\n  txt:",
      [
        "11:14: service 'text' lists procedure 'f', which 'rpc' does not declare",
        "13:3: procedures are declared for service 'txt', which 'service' does not declare (did you mean 'text'?)",
      ]
    ),
    (
      "- text:", "- system:",
      [
        "8:5: 'system' is reserved: every server has this service built in",
        "13:3: procedures are declared for service 'text', which 'service' does not declare",
      ]
    ),
    (
      "- s1:", "- 1s:",
      [
        "3:7: invalid name '1s' in 'servers': a name starts with a letter or '_', not with '1'",
        "9:19: service 'text' names provider 's1', which network.servers does not declare (did you mean 's2'?)",
      ]
    ),
    (
      "- s1:", "- sé:",
      [
        "3:7: invalid name 'sé' in 'servers': a name holds letters, digits, '_' and '-', not 'é'",
        "9:19: service 'text' names provider 's1', which network.servers does not declare (did you mean 's2'?)",
      ]
    ),
    // Addresses
    ("port: 8181", "port: 0", ["3:33: 'port' must be from 1 to 65535, found 0"]),
    ("port: 8181", "port: 65536", ["3:33: 'port' must be from 1 to 65535, found 65536"]),
    ("port: 8181", "port: -1", ["3:33: 'port' must be from 1 to 65535, found -1"]),
    (
      "port: 8181", "port: 99999999999999999999",
      [
        "3:33: 'port' must be from 1 to 65535, found 99999999999999999999"
      ]
    ),
    ("port: 8181", "port: 0x1F", ["3:33: 'port' must be a number from 1 to 65535, found '0x1F'"]),
    ("port: 8181", "port: [8181]", ["3:33: 'port' must be a number from 1 to 65535, found a list"]),
    ("port: 8181", "port: ", ["3:33: 'port' is empty: the port of server 's1'"]),
    (
      "ip: 127.0.0.1, port: 8181", "ip: 127.0.0.256, port: 8181",
      [
        "3:16: '127.0.0.256' is neither an IP address nor a host name: an IPv4 address is four decimal numbers from 0 to 255"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181", "ip: \"[::1]\", port: 8181",
      [
        "3:16: '[::1]' is neither an IP address nor a host name: write an IPv6 address without brackets"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181", "ip: 10.0.0.0/8, port: 8181",
      [
        "3:16: '10.0.0.0/8' is neither an IP address nor a host name: a server has a single address, not a network"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181", "ip: \"h:80\", port: 8181",
      [
        "3:16: 'h:80' is neither an IP address nor a host name: the port has a key of its own, 'port'"
      ]
    ),
    (
      "port: 8282", "port: 8181",
      ["4:7: server 's2' has the address of server 's1' at line 3: 127.0.0.1 port 8181"]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "ip: 10.1.0.0/8",
      [
        "6:16: '10.1.0.0/8' is not a network: the bits behind the first 8 must be zero (did you mean '10.0.0.0/8'?)"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "ip: localhost",
      ["6:16: 'localhost' is not an IP address: write 127.0.0.1 or ::1"]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "ip: example.org",
      [
        "6:16: 'example.org' is not an IP address: a client is known by its address, not by a host name"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "port: 6000",
      ["6:7: client 'c1' needs an 'ip' that it calls from, or a 'key' that it proves"]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "key: abc",
      [
        "6:17: 'key': 'abc' is no public key; write ssh-ed25519 AAAA…, the line of the .pub file that "
          + "ssh-keygen -t ed25519 makes"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000",
      "key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      [
        "6:17: 'key': the public key is a point of small order: anybody can sign for it, so it proves nothing"
      ]
    ),
    (
      "port: 8181}", "port: 8181, key: abc}",
      [
        "3:44: 'key': 'abc' is no public key; write ssh-ed25519 AAAA…, the line of the .pub file that "
          + "ssh-keygen -t ed25519 makes"
      ]
    ),
    (
      "port: 8181}\n",
      "port: 8181, key: \(Samples.key)}\n    - s9: {ip: 127.0.0.9, port: 8181, key: \(Samples.key)}\n",
      ["4:7: server 's9' has the key of server 's1' at line 3: each server makes its own at its first start"]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "key: ssh-rsa AAAA, ip: 127.0.0.1",
      [
        "6:17: 'key': keys are of the kind ssh-ed25519, not ssh-rsa: ssh-keygen -t ed25519 makes one"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000}",
      "key: \(Samples.key)}\n    - c2: {ip: 127.0.0.1, key: \(Samples.key) me@here}",
      ["7:7: client 'c2' has the key of client 'c1' at line 6"]
    ),
    (
      "port: 6000}", "port: 6000}\n    - c2: {ip: 127.0.0.1, port: 6000}",
      [
        "7:7: client 'c2' has the address of client 'c1' at line 6: 127.0.0.1 port 6000"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181", "ip: 0x7f.0.0.1, port: 8181",
      [
        "3:16: '0x7f.0.0.1' is neither an IP address nor a host name: an IPv4 address is four decimal numbers from 0 to 255"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181", "ip: a.0x7F, port: 8181",
      [
        "3:16: 'a.0x7F' is neither an IP address nor a host name: an IPv4 address is four decimal numbers from 0 to 255"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181", "ip: 'fe80::1%lo', port: 8181",
      [
        "3:16: 'fe80::1%lo' is neither an IP address nor a host name: it has a zone, '%lo', which means something on one machine only; write an address that needs none"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "ip: 'fe80::1%lo'",
      [
        "6:16: 'fe80::1%lo' is not an IP address: it has a zone, '%lo', which means something on one machine only; write an address that needs none"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "ip: '10.0.0.0/99'",
      ["6:16: '10.0.0.0/99' is neither an IP address nor a network such as 10.0.0.0/8"]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "ip: 'fd00::1/8'",
      [
        "6:16: 'fd00::1/8' is not a network: the bits behind the first 8 must be zero (did you mean 'fd00::/8'?)"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 8181}\n    - s2: {ip: 127.0.0.1, port: 8282",
      "ip: localhost, port: 8181}\n    - s2: {ip: LocalHost., port: 8181",
      ["4:7: server 's2' has the address of server 's1' at line 3: LocalHost. port 8181"]
    ),
    // Text is compared by its bytes: the provider is the kelvin sign.
    (
      "s2: {ip: 127.0.0.1, port: 8282}\n  clients:\n    - c1: {ip: 127.0.0.1, port: 6000}\nservice:\n  - text:\n      providers: [s1, s2]",
      "K: {ip: 127.0.0.1, port: 8282}\n  clients:\n    - c1: {ip: 127.0.0.1, port: 6000}\nservice:\n  - text:\n      providers: [s1, \u{212a}]",
      [
        "9:23: service 'text' names provider '\u{212a}', which network.servers does not declare (did you mean 'K'?)"
      ]
    ),
    // Tags
    (
      "[s1, s2]", "!include providers.yaml",
      [
        "9:18: unknown YAML tag '!include'; write the value itself",
        "9:18: 'providers' of service 'text' must be a list of names, found 'providers.yaml' (write [providers.yaml])",
      ]
    ),
    (
      "[s1, s2]", "!!set {s1, s2}",
      [
        "9:18: unknown YAML tag '!!set'; write the value itself",
        "9:18: 'providers' of service 'text' must be a list of names, found a map",
      ]
    ),
    ("src: f.py", "src: !env f.py", ["14:58: unknown YAML tag '!env'; write the value itself"]),
    (
      "tenants: [c1]", "tenants: [!secret c1, !<tag:example.org,2026:x> c1]",
      [
        "10:17: unknown YAML tag '!secret'; write the value itself",
        "10:29: unknown YAML tag 'tag:example.org,2026:x'; write the value itself",
        "10:29: service 'text' names 'c1' twice in 'tenants'; the first is at line 10",
      ]
    ),
    // Types
    (
      "\"List[str]\"", "\"List[string]\"",
      [
        "14:29: unknown type 'string', in 'args' of procedure 'text.f' (did you mean 'str'?)"
      ]
    ),
    (
      "\"List[str]\"", "'Dict[int, str]'",
      [
        "14:29: the keys of a Dict are str, not int, in 'args' of procedure 'text.f'"
      ]
    ),
    (
      "[int, ", "[intt, ",
      ["14:18: unknown type 'intt', in 'args' of procedure 'text.f' (did you mean 'int'?)"]
    ),
    (
      "returns: [str]", "returns: [str, ]]",
      [
        "14:53: not valid YAML: did not find expected ',' or '}' while parsing a flow mapping"
      ]
    ),
    (
      "returns: [str]", "returns: [~]",
      [
        "14:47: missing type in 'returns' of procedure 'text.f', found nothing; 'None' in quotes is the type of no value"
      ]
    ),
    (
      "returns: [str]", "returns: str",
      [
        "14:46: 'returns' of procedure 'text.f' must be a list of types, found 'str' (write [str])"
      ]
    ),
    (
      "returns: [str]", "returns: [\"?\"]",
      [
        "14:47: '?' cannot be declared, in 'returns' of procedure 'text.f'; 'Any' takes every value"
      ]
    ),
    (
      "[int, \"List[str]\"]", "[a: int, a: str]",
      ["14:26: argument 'a' is declared twice; the first is at line 14"]
    ),
    ("[int, \"List[str]\"]", "[a-b: int]", ["14:18: invalid argument name 'a-b' in procedure 'text.f': it starts with a letter or '_' and holds letters, digits and '_'"]),
    (
      "[int, \"List[str]\"]", "[List[str]]",
      [
        "14:22: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence; put types with brackets in quotes, such as \"List[int]\""
      ]
    ),
    // Procedures
    (
      "src: f.py}", "src: f.py}\n    - f: {args: [int, 'List[ str ]'], src: f.py}",
      [
        "15:7: text.f(int, List[str]) is declared twice; the first is at line 14"
      ]
    ),
    (
      "src: f.py", "src: missing.py",
      [
        "14:58: cannot read the source 'missing.py' of procedure 'text.f': no such file"
      ]
    ),
    (
      "src: f.py", "src: d.py",
      [
        "14:58: cannot read the source 'd.py' of procedure 'text.f': it is a directory"
      ]
    ),
    (
      "src: f.py", "src: latin.py",
      [
        "14:58: cannot read the source 'latin.py' of procedure 'text.f': it is not UTF-8 text"
      ]
    ),
    (
      "src: f.py", "src: /dev/null",
      [
        "14:58: unknown language of 'null': name the file .py or .lua, or add 'language: python' or 'language: lua'"
      ]
    ),
    (
      "src: f.py", "src: /dev/null, language: lua",
      [
        "14:58: cannot read the source '/dev/null' of procedure 'text.f': it is not a regular file"
      ]
    ),
    (
      "src: f.py", "src: f.py, language: py",
      ["14:74: 'language' must be python or lua, found 'py' (did you mean 'python'?)"]
    ),
    ("src: f.py", "src: ./", ["14:58: 'src' of procedure 'text.f' must be the path of a file, found './'"]),
    (", src: f.py", "", ["14:7: 'src' is missing: the file with the source of procedure 'text.f'"]),
    (
      "src: f.py", "src: f.py, function: othr",
      [
        "14:74: the source 'f.py' has no function 'othr' (did you mean 'other'?)"
      ]
    ),
    ("src: f.py", "src: f.py, function: a-b", ["14:74: invalid function name 'a-b': it starts with a letter or '_' and holds letters, digits and '_'"]),
    (
      "src: f.py", "src: f.py, timeout: soon",
      [
        "14:73: 'timeout' must be a duration such as 500ms, 2s or 1m, found 'soon'"
      ]
    ),
    ("src: f.py", "src: f.py, memory: 1KiB", ["14:72: 'memory' must be from 1MiB to 1024GiB, found 1KiB"]),
    ("src: f.py", "src: f.py, idempotent: yes", ["14:76: 'idempotent' must be true or false, found 'yes'"]),
    // Shapes
    (
      "    - s1: {ip: 127.0.0.1, port: 8181}", "    - s1:\n      ip: 127.0.0.1\n      port: 8181",
      [
        "4:7: 'ip' stands beside 's1' instead of inside it; indent it further",
        "11:19: service 'text' names provider 's1', which network.servers does not declare (did you mean 's2'?)",
      ]
    ),
    (
      "    - s1: {ip: 127.0.0.1, port: 8181}", "    - s1",
      [
        "3:7: an entry of 'servers' must be written 'NAME: {…}', found 's1'",
        "9:19: service 'text' names provider 's1', which network.servers does not declare (did you mean 's2'?)",
      ]
    ),
    (
      "    - s1: {ip: 127.0.0.1, port: 8181}", "    - s1: 127.0.0.1",
      [
        "3:11: server 's1' must be a map with 'ip', 'port', 'key', found '127.0.0.1'"
      ]
    ),
    (
      "{args: [int, \"List[str]\"], returns: [str], src: f.py}", "",
      [
        "14:9: procedure 'text.f' must be a map with 'args', 'returns', 'src', 'doc', 'timeout', 'memory', 'idempotent', 'function', 'language', found nothing"
      ]
    ),
    // YAML
    (
      "  clients:", "\tclients:",
      [
        "5:1: not valid YAML: found character that cannot start any token while scanning for the next token; YAML indents with spaces, not with tabs"
      ]
    ),
    ("tenants: [c1]", "tenants: *nobody", ["10:16: unknown alias '*nobody': there is no anchor '&nobody' before it"]),
    ("rpc:\n", "---\nrpc:\n", ["12:1: a second document starts here; the file must hold one"]),
    (
      "service:\n", "network:\n  x: y\nservice:\n",
      ["7:1: the file has 'network' twice; the first is at line 1"]
    ),
    (
      "service:\n", "services: []\nservice:\n",
      [
        "8:1: the file has 'services' and 'service', which mean the same; the first is at line 7",
        "14:3: procedures are declared for service 'text', which 'service' does not declare",
      ]
    ),
  ]

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

  @Test("what is no init.yaml at all is told so", arguments: documents.indices)
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
      try Self.errors(shared.replacing("tenants: [c1]", with: "tenants: *p")).first?.hasPrefix("9:22") == true
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

  @Test("a file that is not there, or is no file, is told without a line")
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
    var generator = SeededGenerator(seed: 7)
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
      var reader = InitFileReader(file: "f", checksSources: false)
      reader.read(bytes)
    }
  }
}
