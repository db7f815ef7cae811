extension InitFileErrorTests {
  /// What is wrong with keys, names and addresses.
  static let networkChanges: [Change] = [
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
        "8:5: 'tenants' is missing: those that may call service 'text'; [] for none",
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
        "10:17: service 'text' names tenant 'C2', which is neither a client nor a server of 'network' (did you mean 'c1'?)"
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
      [
        "6:7: client 'c1' needs an 'ip' that it calls from, "
          + "or a 'key', a 'certificate' or a 'token' that it shows"
      ]
    ),
    (
      "ip: 127.0.0.1, port: 6000", "key: abc",
      [
        "6:17: 'key': 'abc' is not a public key; write ssh-ed25519 AAAA…, the line of the .pub file that "
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
        "3:44: 'key': 'abc' is not a public key; write ssh-ed25519 AAAA…, the line of the .pub file that "
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
  ]
}
