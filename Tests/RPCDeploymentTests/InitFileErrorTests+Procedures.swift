extension InitFileErrorTests {
  /// What is wrong with tags, types, procedures and the shape of the text.
  static let procedureChanges: [Change] = [
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
    (
      "[int, \"List[str]\"]", "[a-b: int]",
      [
        "14:18: invalid argument name 'a-b' in procedure 'text.f': it starts with a letter or '_' and holds letters, digits and '_'"
      ]
    ),
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
    (
      "src: f.py", "src: f.py, function: a-b",
      [
        "14:74: invalid function name 'a-b': it starts with a letter or '_' and holds letters, digits and '_'"
      ]
    ),
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
        "3:11: server 's1' must be a map with 'ip', 'port', 'key', 'certificate', found '127.0.0.1'"
      ]
    ),
    (
      "{args: [int, \"List[str]\"], returns: [str], src: f.py}", "",
      [
        "14:9: procedure 'text.f' must be a map with 'args', 'returns', 'src', 'doc', 'timeout', 'memory', 'idempotent', 'function', 'language', 'grpc', found nothing"
      ]
    ),
    // YAML
    (
      "  clients:", "\tclients:",
      [
        "5:1: not valid YAML: found character that cannot start any token while scanning for the next token; YAML indents with spaces, not with tabs"
      ]
    ),
    (
      "tenants: [c1]", "tenants: *nobody",
      [
        "10:16: unknown alias '*nobody': there is no anchor '&nobody' before it"
      ]
    ),
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
}
