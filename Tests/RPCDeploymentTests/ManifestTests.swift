import RPCClient
import RPCProcedures
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("The manifest")
struct ManifestTests {
  static let full: Manifest = {
    var rich = Samples.procedure("text", "rich", [.dict(.list(.optional(.float)))])
    rich.signature.parameters[0].name = "table"
    rich.signature.returns = [.int, .any]
    rich.documentation = "Says hello.\nTwice."
    rich.timeoutMilliseconds = 1500
    rich.memoryBytes = 64 << 20
    rich.idempotent = true
    rich.language = .lua
    rich.function = "rich_one"
    return Samples.manifest([
      rich, Samples.procedure("text", "concat"), Samples.procedure("text", "none", []),
    ])
  }()

  @Test("it comes back exactly as it went")
  func roundTrip() throws {
    #expect(try Manifest(decoding: Self.full.encode()) == Self.full)
    #expect(try Manifest(decoding: Samples.manifest([]).encode()) == Samples.manifest([]))
  }

  @Test("the order in which things are listed does not change the digest")
  func order() {
    let one = Self.full
    let other = Manifest(
      server: one.server, servers: one.servers.reversed(), clients: one.clients.reversed(),
      services: one.services.reversed().map {
        Topology.Service(
          name: $0.name, providers: $0.providers.reversed(), tenants: $0.tenants.reversed())
      }, procedures: one.procedures.reversed())
    #expect(one.digest == other.digest)
    #expect(one.digest != Samples.manifest().digest)
  }

  @Test("cut short anywhere it is an error, never a crash")
  func truncated() {
    let bytes = Self.full.encode()
    for length in 0..<bytes.count {
      #expect(throws: DeploymentError.self) { try Manifest(decoding: Array(bytes.prefix(length))) }
    }
    #expect(throws: DeploymentError.self) { try Manifest(decoding: bytes + [0]) }
  }

  @Test("with any one byte changed it is refused or is another manifest, never a crash")
  func corrupted() {
    let bytes = Self.full.encode()
    for index in bytes.indices {
      for flip in [0x01, 0x80, 0xff] as [UInt8] {
        var changed = bytes
        changed[index] ^= flip
        if let manifest = try? Manifest(decoding: changed) { #expect(manifest != Self.full) }
      }
    }
  }

  @Test("bytes that are not in canonical form are refused")
  func canonical() throws {
    guard case .map(let entries) = Self.full.value else { return }
    let shuffled = Value.map(entries.reversed()).messagePack
    #expect(throws: DeploymentError.self) { try Manifest(decoding: shuffled) }
    let extra = Value.map(entries + [Value.Entry("limit", 1)]).messagePack
    #expect { try Manifest(decoding: extra) } throws: {
      "\($0)" == "manifest has an unknown key 'limit'"
    }
    let newer = Value.map([Value.Entry("simplerpc_manifest", 2)] + entries.dropFirst()).messagePack
    #expect { try Manifest(decoding: newer) } throws: { "\($0)".contains("format 2") }
  }

  static let invalid: [(String, Manifest)] = [
    ("which is not among its servers", Samples.manifest(server: "s9")),
    ("tenant 'c9', which is not declared", Samples.manifest(tenants: ["c9"])),
    ("names a tenant twice", Samples.manifest(tenants: ["c1", "c1"])),
    ("does not provide 'far'", Samples.manifest([Samples.procedure("far", "x")])),
    ("does not provide 'nowhere'", Samples.manifest([Samples.procedure("nowhere", "x")])),
    (
      "declared twice",
      Samples.manifest([
        Samples.procedure("text", "x"), Samples.procedure("text", "x", source: Samples.sourceB),
      ])
    ),
    ("not '/'", Samples.manifest([Samples.procedure("text", "a/b")])),
    (
      "no valid digest",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.digest = "../../etc/passwd"; return it
        }()
      ])
    ),
    (
      "no valid file name",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.sourceName = "../x.py"; return it
        }()
      ])
    ),
    (
      "a file name with '..'",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.sourceName = ".."; return it
        }()
      ])
    ),
    (
      "a file name with a line break",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.sourceName = "x.py\nroot: all is well"; return it
        }()
      ])
    ),
    (
      "a file name of 256 bytes, the limit is 255",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.sourceName = String(repeating: "x", count: 256);
          return it
        }()
      ])
    ),
    ("tenant '\u{212a}', which is not declared", Samples.manifest(tenants: ["\u{212a}"])),
    (
      "timeout of 0 ms",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.timeoutMilliseconds = 0; return it
        }()
      ])
    ),
    (
      "Swift closure",
      Samples.manifest([
        {
          var it = Samples.procedure("text", "x"); it.language = .swift; return it
        }()
      ])
    ),
    (
      "'system' is reserved",
      Manifest(
        server: "s1", servers: [Topology.Server(name: "s1", host: "h", port: 1)],
        services: [Topology.Service(name: "system", providers: ["s1"], tenants: [])])
    ),
    (
      "no valid address",
      Manifest(
        server: "s1", servers: [Topology.Server(name: "s1", host: "h", port: 1)],
        clients: [Manifest.Client(name: "c", host: "nonsense")])
    ),
    (
      "client 'c' has no valid key: 'nonsense' is no public key",
      Manifest(
        server: "s1", servers: [Topology.Server(name: "s1", host: "h", port: 1)],
        clients: [Manifest.Client(name: "c", key: "nonsense")])
    ),
  ]

  @Test("one that no checked file could have made is refused", arguments: invalid.indices)
  func validation(index: Int) {
    let (message, manifest) = Self.invalid[index]
    #expect { try Manifest(decoding: manifest.encode()) } throws: { "\($0)".contains(message) }
  }

  @Test("a bound is crossed one byte beyond it")
  func size() {
    let bytes = [UInt8](repeating: 0xc0, count: DeploymentLimits.manifestBytesMax + 1)
    #expect { try Manifest(decoding: bytes) } throws: { ($0 as? DeploymentError)?.kind == .tooLarge }
    #expect { try Manifest(decoding: Array(bytes.dropLast())) } throws: {
      ($0 as? DeploymentError)?.kind == .malformed
    }
  }

  @Test("random bytes are refused")
  func noise() {
    var generator = SeededGenerator(seed: 42)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      #expect(throws: DeploymentError.self) { try Manifest(decoding: bytes) }
    }
  }
}

@Suite("IP ranges")
struct IPBlockTests {
  static let members: [(block: String, address: String, isMember: Bool)] = [
    ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false), ("10.0.0.0/8", "10.255.1.2", true),
    ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "1.2.3.4", true), ("0.0.0.0/0", "::1", false),
    ("::1", "::1", true), ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::1", false),
    ("10.0.0.0/9", "10.127.0.0", true), ("10.0.0.0/9", "10.128.0.0", false),
    ("127.0.0.1", "::ffff:127.0.0.1", true), ("::ffff:127.0.0.1", "127.0.0.1", true),
  ]

  @Test("a range holds its addresses and no others", arguments: members.indices)
  func contains(index: Int) throws {
    let (text, address, isMember) = Self.members[index]
    let block = try #require(IPBlock(parsing: text))
    #expect(block.contains(try #require(IPBlock.address(address))) == isMember)
  }

  @Test(
    "what is no range is refused",
    arguments: [
      "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.1.2.3/8", "256.0.0.1",
      "1.2.3", "01.2.3.4x", "::1/129", "localhost", "1.2.3.4 ", "1.2.3.4\0", "fd00::1/8", "10.0.0.0/8/8",
    ])
  func refused(text: String) {
    #expect(IPBlock(parsing: text) == nil)
  }

  @Test("a range prints as it is written", arguments: ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"])
  func description(text: String) {
    #expect(IPBlock(parsing: text)?.description == text)
  }
}

/// The same numbers in each run, told by the seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 29)
  }
}
