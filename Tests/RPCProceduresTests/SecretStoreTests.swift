import Glibc
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@Suite("The folder of secrets")
struct SecretStoreTests {
  private let folder = TemporaryDirectory()

  private func write(_ text: String, to name: String, mode: mode_t = 0o600) throws {
    chmod(try folder.write(text, to: name), mode)
  }

  private func loaded() throws -> (store: SecretStore, refusals: [String]) {
    let store = SecretStore(directory: folder.path)
    return (store, try store.load().refusals)
  }

  private func why(_ store: SecretStore, _ names: String...) -> String? {
    store.refusal(of: Provision(environment: [], secrets: names), service: "shop")
  }

  @Test("a file of mode 0600 is a secret, and its last line break is none of it")
  func plain() throws {
    try write("word\n", to: "db")
    try write("word\r\n", to: "dos")
    try write("two\n\n", to: "lines")
    try write("", to: "nothing", mode: 0o400)
    let (store, refusals) = try loaded()
    #expect(refusals == [])
    #expect(why(store, "db", "dos", "lines", "nothing") == nil)
    let texts = store.secrets(named: ["db", "dos", "lines", "nothing"]).map {
      String(decoding: $0.withoutLineBreak, as: UTF8.self)
    }
    #expect(texts == ["word", "word", "two\n", ""])
    #expect(store.secrets(named: ["db"]).map(\.bytes) == [Array("word\n".utf8)])
    var dumped = ""
    dump(store.secrets(named: ["db"]), to: &dumped)
    #expect(!dumped.contains("word") && !"\(store.secrets(named: ["db"]))".contains("119"))
  }

  @Test("what others could read or have put there is not used, and the refusal says how to mend it")
  func refused() throws {
    try write("x", to: "open", mode: 0o640)
    try write("x", to: "target")
    symlink("target", folder.file("link"))
    mkdir(folder.file("folder"), 0o700)
    mkfifo(folder.file("fifo"), 0o600)
    try write(String(repeating: "x", count: SecretStore.bytesMax), to: "largest")
    try write(String(repeating: "x", count: SecretStore.bytesMax + 1), to: "larger")
    let (store, refusals) = try loaded()
    #expect(refusals.count == 5)
    #expect(why(store, "target", "largest") == nil)
    for (name, reason) in [
      ("open", "is open to others than its owner: chmod 600 '\(folder.file("open"))'"),
      ("link", "is a link, which is not followed"), ("folder", "is not a file"), ("fifo", "is not a file"),
      ("larger", "has more than 65536 bytes, the limit"),
    ] {
      let found = try #require(why(store, name))
      #expect(found.hasPrefix("the service 'shop' names the secret '\(name)', but '\(folder.file(name))'"))
      #expect(found.contains(reason), "\(found)")
      #expect(store.secrets(named: [name]) == [])
    }
    let missing = try #require(why(store, "absent"))
    #expect(missing.contains("--secrets '\(folder.path)' has no file 'absent'"), "\(missing)")
    let none = try #require(why(.none, "db"))
    #expect(none.contains("start it with --secrets DIR") && none.contains("'db'"), "\(none)")
    #expect(why(.none) == nil)
  }

  @Test("a folder that others may enter is refused whole, and what was read before stays")
  func openFolder() throws {
    try write("word", to: "db")
    let (store, _) = try loaded()
    chmod(folder.path, 0o750)
    #expect(throws: SecretStoreError.self) { try store.load() }
    #expect(store.secrets(named: ["db"]).count == 1)
    chmod(folder.path, 0o700)
    unlink(folder.file("db"))
    try store.load()
    #expect(store.secrets(named: ["db"]) == [])
    #expect(throws: SecretStoreError.self) { try SecretStore(directory: folder.file("absent")).load() }
    try write("x", to: "file")
    #expect(throws: SecretStoreError.self) { try SecretStore(directory: folder.file("file")).load() }
  }

  @Test("of what systemd hands over the secrets of services count, and the server's own do not")
  func credentials() throws {
    try write("word", to: "secrets_services_db", mode: 0o440)
    try write("own", to: "secrets_tls.key", mode: 0o440)
    try write("own", to: "db", mode: 0o440)
    chmod(folder.path, 0o550)
    defer { chmod(folder.path, 0o700) }
    let store = SecretStore(credentials: folder.path)
    #expect(try store.load().count == 1)
    #expect(store.secrets(named: ["db", "tls.key", "secrets_tls.key"]).map(\.bytes) == [Array("word".utf8)])
    let missing = try #require(why(store, "tls.key"))
    #expect(missing.contains("put the file 'tls.key' into /etc/simplerpc/secrets/services"), "\(missing)")
    // A folder that is named counts, and has to be closed to others.
    let named = SecretStore(directory: folder.path, credentials: folder.path)
    #expect(throws: SecretStoreError.self) { try named.load() }
  }

  @Test("a file or folder of another user is refused", .enabled(if: geteuid() == 0))
  func owners() throws {
    try write("word", to: "db")
    chown(folder.file("db"), 65534, 65534)
    #expect(why(try loaded().store, "db")?.contains("belongs to another user (uid 65534)") == true)
    chown(folder.path, 65534, 65534)
    #expect(throws: SecretStoreError.self) { try SecretStore(directory: folder.path).load() }
  }

  @Test(
    "what a service is given travels in one form only",
    arguments: [
      (["env=A=1", "env=B=", "secret=a", "secret=b.c-d_e"], true), (["workers=2", "env=A=x=y\nz"], true),
      (["env=B=1", "env=A=1"], false), (["env=A=1", "env=A=1"], false), (["secret=b", "secret=a"], false),
      (["secret=a", "env=A=1"], false), (["env=A=1", "workers=2"], false), (["env=A"], false),
      (["env="], false),
      (["env=1A=x"], false), (["env=TMPDIR=/"], false), (["env=A=\0"], false), (["secret=.a"], false),
      (["secret=a/b"], false), (["secret="], false), (["given=a"], false),
      (["secret=a", "python=3.12", "requirements=" + String(repeating: "0a", count: 32)], true),
      (["python=3.12", "python=3.11"], false), (["python=3.x"], false), (["python=/usr/bin/python3"], false),
      (["requirements=" + String(repeating: "0A", count: 32)], false), (["requirements=../../x"], false),
      (["requirements=" + String(repeating: "0a", count: 32), "python=3.12"], false),
      ((0..<Provision.secretsMax).map { "secret=\($0 + 10)" }, true),
      ((0...Provision.secretsMax).map { "secret=\($0 + 10)" }, false),
      ((0..<Provision.variablesMax).map { "env=A\($0 + 100)=" }, true),
      ((0...Provision.variablesMax).map { "env=A\($0 + 100)=" }, false),
      (["env=A=" + String(repeating: "x", count: Provision.environmentBytesMax - 1)], true),
      (["env=A=" + String(repeating: "x", count: Provision.environmentBytesMax)], false),
      (["secret=" + String(repeating: "x", count: Provision.nameBytesMax)], true),
      (["secret=" + String(repeating: "x", count: Provision.nameBytesMax + 1)], false),
    ])
  func words(words: [String], isRight: Bool) {
    #expect(Confinement(words: words)?.words == (isRight ? words : nil))
  }
}
