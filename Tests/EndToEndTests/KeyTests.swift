import Foundation
import RPCClient
import TestSupport
import Testing

@Suite("Keys, with whole programs")
struct KeyTests {
  /// A copy of a key that its owner alone may read, as git does not keep it.
  private static func privateKey(_ name: String, in network: Network) throws -> String {
    let path = network.directory.file(name)
    try? FileManager.default.copyItem(atPath: "\(Programs.fixtures)/keys/\(name)", toPath: path)
    chmod(path, 0o600)
    return path
  }

  private static func publicKey(_ name: String) throws -> String {
    try String(contentsOfFile: "\(Programs.fixtures)/keys/\(name).pub", encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Two servers to which the owner of `deployer` may deploy, and a service for the client with the key `c1`.
  private static func network() throws -> (network: Network, deployers: String) {
    let network = try Network(["s1", "s2"], start: false)
    let deployers = try network.directory.write("# us\n\(publicKey("deployer"))\n", to: "deployers")
    for name in ["s1", "s2"] {
      try network.start(name, options: ["--deployers", deployers])
    }
    try network.directory.write("def one(): return 1\n", to: "one.py")
    try network.describe(
      """
      service:
        - secret: {providers: [s1, s2], tenants: [keeper], rpcs: [one]}
      rpc:
        secret:
          - one: {args: [], returns: [int], src: one.py}
      """, clients: "    - keeper: {key: '\(publicKey("c1"))'}")
    return (network, deployers)
  }

  @Test("without more, the same user deploys with a key of its own, made at first use, and nobody else does")
  func ownUser() throws {
    let network = try Network(["s1"])
    try network.directory.write("def one(): return 1\n", to: "one.py")
    try network.describe(
      """
      service:
        - numbers: {providers: [s1], tenants: [me], rpcs: [one]}
      rpc:
        numbers:
          - one: {args: [], returns: [int], src: one.py}
      """)
    let key = "\(ConfigHome.path)/simplerpc/deploy-key"
    // Being on the server's host is not a right.
    let raw = try network.lines("s1").call("system.deploy_status")
    #expect(raw.exceptionType == "Unauthenticated")
    #expect(raw.exceptionMessage?.contains("nobody may deploy to this server: user '") == true, "\(raw)")
    #expect(raw.exceptionMessage?.contains("has no deploy key yet (\(key).pub)") == true, "\(raw)")
    #expect(raw.exceptionMessage?.contains("--deployers FILE") == true, "\(raw)")
    // The server came first.
    let deployed = try network.initialize()
    #expect(deployed.ending == .code(0), "\(deployed)")
    let shown = try run(Programs.initializer, ["key"])
    #expect(shown.ending == .code(0))
    let text = try String(contentsOfFile: "\(key).pub", encoding: .utf8)
    #expect(shown.lines.count == 3, "\(shown)")
    #expect(shown.lines[0] == key)
    #expect(text.hasPrefix("\(shown.lines[1]) "))
    #expect(shown.lines[2].hasPrefix("SHA256:"))
    var status = stat()
    #expect(stat(key, &status) == 0 && status.st_mode & 0o777 == 0o600)
    #expect(stat("\(ConfigHome.path)/simplerpc", &status) == 0 && status.st_mode & 0o777 == 0o700)
    // The shell proves the same key.
    #expect(try network.shell("apply").ending == .code(0))
    #expect(try network.shell("numbers.one").output == "1\n")
    // Another key is refused, and so is none.
    let stranger = try network.initialize(["--key", Self.privateKey("c1", in: network), "--force"])
    #expect(stranger.ending == .code(1))
    #expect(stranger.output.contains("is not among those that may deploy to this server"), "\(stranger)")
    #expect(stranger.output.contains("trusts the deploy key of its own user"), "\(stranger)")
    #expect(!stranger.output.contains("hint:"), "there is no file with its public half: \(stranger)")
    let none = try network.lines("s1").call("system.deploy_status")
    #expect(none.exceptionMessage?.contains("a key is needed to deploy to this server") == true, "\(none)")
    // One that others may write, or that is gone, counts at once for nobody.
    chmod("\(key).pub", 0o666)
    let open = try network.initialize(["--force", "--key", key])
    #expect(open.output.contains("chmod go-w '\(key).pub'"), "\(open)")
    unlink("\(key).pub")
    let gone = try network.initialize(["--force", "--key", key])
    #expect(gone.output.contains("has no deploy key yet"), "\(gone)")
    #expect(try network.initialize(["--force"]).ending == .code(0))
  }

  @Test("two initializers that start at once make one key, with which both deploy")
  func twoAtOnce() throws {
    let network = try Network(["s1"])
    try network.directory.write("def one(): return 1\n", to: "one.py")
    try network.describe(
      """
      service:
        - numbers: {providers: [s1], tenants: [me], rpcs: [one]}
      rpc:
        numbers:
          - one: {args: [], returns: [int], src: one.py}
      """)
    let four = try (0..<4).map { _ in try ChildProcess(Programs.initializer, [network.file]) }
    // Whichever of them has the lock: none is refused for its key.
    for one in four {
      _ = try one.waitForEnd(seconds: 60)
      #expect(!one.outputText.contains(" key "), "\(one.outputText)")
    }
    #expect(try network.initialize().ending == .code(0))
  }

  @Test("who has no home gets no key, and is told what to name instead")
  func homeless() throws {
    let network = try Network(["s1"], start: false)
    try network.directory.write("", to: "file")
    for environment: [String: String?] in [
      ["XDG_CONFIG_HOME": network.directory.file("file")], ["XDG_CONFIG_HOME": "/proc/none"],
    ] {
      let outcome = try run(Programs.initializer, ["key"], environment: environment)
      #expect(outcome.ending == .code(2), "\(outcome)")
      #expect(outcome.errors.contains("cannot use the deploy key: cannot make "), "\(outcome)")
      #expect(outcome.errors.contains("--key FILE names another one"), "\(outcome)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome)")
    }
  }

  @Test("who has no key, or another one, deploys nothing and is told so; who has it deploys")
  func deploying() throws {
    let (network, _) = try Self.network()
    // The user's own key, which is not among them.
    let without = try network.initialize()
    #expect(without.ending == .code(1))
    #expect(without.output.contains("is not among those that may deploy"), "\(without)")
    let file = "\(ConfigHome.path)/simplerpc/deploy-key.pub"
    #expect(
      without.output.contains(
        "hint: --deployers \(file) lets this key in, and so does any file with its line"), "\(without)")
    let stranger = try network.initialize(["--key", Self.privateKey("c1", in: network)])
    #expect(stranger.ending == .code(1))
    #expect(stranger.output.contains("is not among those that may deploy"), "\(stranger)")
    let owner = try network.initialize(["--key", Self.privateKey("deployer", in: network)])
    #expect(owner.ending == .code(0), "\(owner)")
    #expect(owner.output.contains("secret.one() -> int"))
    let audit = try network.directory.read("data/s1/audit.log")
    #expect(audit.contains("who=SHA256:"), "\(audit)")
    try network.server("s1").waitForLine("has the key SHA256:", on: .errors)
  }

  @Test("the owner of a client's key is that client, from any address; nobody else is")
  func calling() throws {
    let (network, _) = try Self.network()
    _ = try network.initialize(["--key", Self.privateKey("deployer", in: network)])
    let key = try Self.privateKey("c1", in: network)
    let owner = try network.shell("secret.one", "as", options: ["--key", key])
    #expect(owner.output.contains("1\n"), "\(owner)")
    #expect(owner.lines.contains { $0.contains("keeper") && $0.contains("with its key") }, "\(owner)")
    let nobody = try network.shell("secret.one")
    #expect(nobody.errors.contains("ClientNotRegistered"), "\(nobody)")
    #expect(!nobody.errors.contains("is unknown"), "\(nobody)")
    let other = try network.shell(
      "secret.one", options: ["--key", Self.privateKey("deployer", in: network)])
    #expect(other.errors.contains("ClientNotRegistered"), "\(other)")
    // That one is known here, as a deployer's. One that is not is the cause.
    #expect(!other.errors.contains("is unknown"), "\(other)")
    let fingerprint = try run(Programs.initializer, ["key"]).lines[2]
    let stranger = try network.shell("secret.one")
    let cause =
      "the key \(fingerprint) is unknown: no client is registered with it, and the client 'me' is not a tenant"
    #expect(stranger.errors.contains("ClientNotRegistered: \(cause)"), "\(stranger)")
    // To be somebody whose key one has not is refused before a server is asked.
    let pretender = try network.shell("secret.one", options: ["--as", "keeper"])
    #expect(pretender.ending == .code(2))
    #expect(pretender.errors.contains("the client 'keeper' is known by its key"), "\(pretender)")
    #expect(pretender.errors.contains("--key FILE"))
    // A claim without a proof is refused by the server too.
    let raw = try network.lines("s1").call("secret.one")
    #expect(raw.exceptionType == "ClientNotRegistered")
    let claim = try network.lines("s1").call("secret.one", more: #","client":"keeper""#)
    #expect(claim.exceptionType == "Unauthenticated", "\(claim)")
    #expect(claim.exceptionMessage?.contains("registered with a key") == true, "\(claim)")
  }

  @Test("the shell deploys with its key, and RPC_KEY names one as well")
  func shellDeploys() throws {
    let (network, _) = try Self.network()
    let key = try Self.privateKey("deployer", in: network)
    let refused = try network.shell("apply")
    #expect(refused.ending == .code(1))
    // A server that refuses was reached: the reason is the key.
    let drift = try network.shell("drift", options: ["--json"])
    #expect(drift.ending == .code(1))
    #expect(drift.lines.count == 2, "\(drift)")
    for line in drift.lines {
      #expect(line.contains(#""drift":"refused""#) && line.contains("a key is needed to deploy"), "\(line)")
    }
    let applied = try run(
      Programs.shell, ["--config", network.file], input: .text("apply\n"), environment: ["RPC_KEY": key])
    #expect(applied.ending == .code(0), "\(applied)")
    let again = try run(Programs.initializer, [network.file], environment: ["RPC_KEY": key])
    #expect(again.output.contains("Everything is up to date."), "\(again)")
  }

  @Test("a key that cannot be used is named, and no server is asked")
  func unusable() throws {
    let (network, _) = try Self.network()
    let path = try Self.privateKey("locked", in: network)
    for outcome in [
      try network.initialize(["--key", path]), try network.shell("servers", options: ["--key", path]),
    ] {
      #expect(outcome.ending == .code(2), "\(outcome)")
      #expect(outcome.errors.contains("\(path): the key has a passphrase"), "\(outcome)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome)")
    }
    let open = try Self.privateKey("c1", in: network)
    chmod(open, 0o644)
    let outcome = try network.initialize(["--key", open])
    #expect(outcome.ending == .code(2))
    #expect(outcome.errors.contains("chmod 600"), "\(outcome)")
  }

  @Test("SIGHUP takes changed keys, and keeps the old ones where the new cannot be read")
  func reload() throws {
    let (network, deployers) = try Self.network()
    let key = try Self.privateKey("c1", in: network)
    #expect(try network.initialize(["--key", key]).ending == .code(1))
    try network.directory.write("\(Self.publicKey("c1"))\n", to: "deployers")
    for name in ["s1", "s2"] {
      kill(try network.server(name).pid, SIGHUP)
      try network.server(name).waitForLine("read again", on: .errors)
    }
    let outcome = try network.initialize(["--key", key])
    #expect(outcome.ending == .code(0), "\(outcome)")
    try network.directory.write("rubbish\n", to: "deployers")
    kill(try network.server("s1").pid, SIGHUP)
    try network.server("s1").waitForLine(
      "keys stay as they were: \(deployers):1: 'rubbish' is not a public key", on: .errors)
    #expect(try network.initialize(["--key", key, "--force"]).ending == .code(0))
  }

  @Test(
    "a deployment is signed by its key, which may be taken away later: it stays in force, and that is told")
  func signed() throws {
    let (network, _) = try Self.network()
    let key = try Self.privateKey("deployer", in: network)
    let first = try network.initialize(["--key", key, "-m", "the first one"])
    #expect(first.ending == .code(0), "\(first)")
    let match = try #require(first.output.firstMatch(of: #/deployment ([0-9a-f]{12}), serial 1\./#))
    let id = match.output.1
    let other = try Self.privateKey("c1", in: network)
    try network.directory.write("\(Self.publicKey("c1"))\n", to: "deployers")
    let server = try network.server("s1")
    server.signal(SIGTERM)
    try server.waitForEnd()
    try network.start("s1", options: ["--deployers", network.directory.file("deployers")])
    kill(try network.server("s2").pid, SIGHUP)
    try network.server("s2").waitForLine("read again", on: .errors)
    #expect(try network.initialize(["--key", key, "--force"]).output.contains("is not among those that may"))
    let shown = try network.shell("describe s1", options: ["--key", other])
    #expect(shown.output.contains("\(id), serial 1, network default"), "\(shown)")
    #expect(shown.output.contains("which may not deploy any more"), "\(shown)")
    #expect(shown.output.contains("the first one"), "\(shown)")
    #expect(shown.output.contains("Landlock"), "\(shown)")
    // A server that starts again has the serial still.
    let second = try network.initialize(["--key", other, "--force"])
    #expect(second.output.contains("deployment \(id), serial 2."), "\(second)")
    // What is changed on the disk is found.
    let record = network.directory.file("data/s1/gen/2/record")
    let text = try String(contentsOfFile: record, encoding: .utf8)
    try network.server("s1").signal(SIGTERM)
    try network.server("s1").waitForEnd()
    try text.replacingOccurrences(of: "who SHA256", with: "who SHA257").write(
      toFile: record, atomically: true, encoding: .utf8)
    try network.start("s1", options: ["--deployers", network.directory.file("deployers")])
    let changed = try network.initialize(["--key", other, "--dry-run"])
    #expect(changed.output.contains("generation 2 is damaged"), "\(changed)")
    #expect(try network.initialize(["--key", other]).output.contains("serial 3."))
  }

  @Test("a deployment for another network is refused, unless it is forced")
  func otherNetwork() throws {
    let (network, _) = try Self.network()
    let key = try Self.privateKey("deployer", in: network)
    #expect(try network.initialize(["--key", key]).ending == .code(0))
    let text = try String(contentsOfFile: network.file, encoding: .utf8)
    try network.directory.write(
      text.replacingOccurrences(of: "network:\n", with: "network:\n  name: shop\n"), to: "init.yaml")
    try network.directory.write("def one(): return 2\n", to: "one.py")
    let refused = try network.initialize(["--key", key])
    #expect(refused.ending == .code(1))
    #expect(
      refused.output.contains("is for the network 'shop', and this server belongs to 'default'"), "\(refused)"
    )
    try network.server("s1").waitForLine("is for the network 'shop'", on: .errors)
    #expect(try network.directory.read("data/s1/audit.log").contains(" refuse transaction="))
    #expect(try network.initialize(["--key", key, "--force"]).ending == .code(0))
  }

  @Test("a pinned server is deployed to and called; once it has another key, nobody talks to it")
  func pinned() throws {
    let network = try Network(["s1"])
    let pin = try network.directory.read("data/s1/server-key.pub").split(separator: "\n")[0]
    try network.directory.write("def one(): return 1\n", to: "one.py")
    func describe(_ key: some StringProtocol) throws {
      try network.directory.write(
        """
        network:
          servers:
            - s1: {ip: 127.0.0.1, port: \(network.port("s1")), key: '\(key)'}
          clients:
            - me: {ip: 127.0.0.1}
        service:
          - numbers: {providers: [s1], tenants: [me], rpcs: [one]}
        rpc:
          numbers:
            - one: {args: [], returns: [int], src: one.py}
        """, to: "init.yaml")
    }
    try describe(pin)
    try network.deploy()
    #expect(try network.shell("numbers.one").output == "1\n")
    try describe(Self.publicKey("c1"))
    let outcomes = [try network.initialize(), try network.shell("numbers.one")]
    for outcome in outcomes {
      #expect(outcome.ending == .code(1), "\(outcome)")
      let text = outcome.output + outcome.errors
      #expect(text.contains("expected was SHA256:ly66/lzaM66oOjWa23GDhMCDnfRTNkHJQ3P2xIiguUY"), "\(outcome)")
      #expect(text.contains("another server may be answering in its place"), "\(outcome)")
    }
  }

  @Test("a server whose own key is damaged, or read by others, says so and ends with 3")
  func badServerKey() throws {
    let network = try Network(["s1"], start: false)
    let (data, port) = try (network.directory.file("data"), network.port("s1"))
    try network.directory.write("rubbish", to: "data/server-key")
    chmod("\(data)/server-key", 0o600)
    let damaged = try run(Programs.server, ["127.0.0.1", "\(port)", "--data", data])
    #expect(damaged.ending == .code(3))
    #expect(
      damaged.errors.contains(
        "cannot use the server's own key: \(data)/server-key: this is not an OpenSSH private key"),
      "\(damaged)")
    unlink("\(data)/server-key")
    let key = try Self.privateKey("c1", in: network)
    try FileManager.default.copyItem(atPath: key, toPath: "\(data)/server-key")
    chmod("\(data)/server-key", 0o604)
    let open = try run(Programs.server, ["127.0.0.1", "\(port)", "--data", data])
    #expect(open.ending == .code(3))
    #expect(open.errors.contains("chmod 600 '\(data)/server-key'"), "\(open)")
  }

  @Test("a server whose file of keys cannot be read says so and ends with 3")
  func badDeployers() throws {
    let network = try Network(["s1"], start: false)
    let outcome = try run(
      Programs.server,
      [
        "127.0.0.1", "\(network.port("s1"))", "--data", network.directory.file("data"), "--deployers",
        "/nowhere",
      ])
    #expect(outcome.ending == .code(3))
    #expect(outcome.errors.contains("'/nowhere' cannot be read: No such file or directory"), "\(outcome)")
  }
}
