import RPCNetwork
import RPCProcedures
import RPCWire
import TestSupport
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
      server: one.server,
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
    let newer = Value.map([Value.Entry("simplerpc_manifest", 3)] + entries.dropFirst()).messagePack
    #expect { try Manifest(decoding: newer) } throws: { "\($0)".contains("format 3") }
  }

  static let invalid: [(String, Manifest)] = [
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
          var it = Samples.procedure("text", "x"); it.language = .closure; it.digest = ""; return it
        }()
      ])
    ),
    (
      "'system' is reserved",
      Manifest(
        server: "s1",
        services: [Topology.Service(name: "system", providers: ["s1"], tenants: [])])
    ),
  ]

  @Test("one that no checked file could have made is refused", arguments: invalid.indices)
  func validation(index: Int) {
    let (message, manifest) = Self.invalid[index]
    #expect { try Manifest(decoding: manifest.encode()) } throws: { "\($0)".contains(message) }
  }

  static let undeclaredNames: [(String, Manifest)] = [
    ("which is not among the servers", Samples.manifest([], server: "s9")),
    ("tenant 'c9', which is not declared", Samples.manifest(tenants: ["c9"])),
    ("tenant '\u{212a}', which is not declared", Samples.manifest(tenants: ["\u{212a}"])),
  ]

  @Test(
    "one that names servers or clients which its topology lacks is refused",
    arguments: undeclaredNames.indices)
  func undeclared(index: Int) {
    let (message, manifest) = Self.undeclaredNames[index]
    #expect {
      try DeploymentContent(manifest: manifest.encode(), topology: Samples.topology.encode())
    } throws: {
      "\($0)".contains(message)
    }
  }

  @Test("one that version 1.0 left on disk is read, with the topology in it")
  func firstFormat() throws {
    let manifest = Self.full
    let entries =
      [Value.Entry("simplerpc_manifest", 1), Value.Entry("server", .string(manifest.server))]
      + Samples.topology.memberEntries + manifest.contentEntries
    let stored = try Manifest.stored(Value.map(entries).messagePack)
    #expect(stored.manifest == manifest)
    #expect(stored.topology == Samples.topology.members)
    #expect(throws: DeploymentError.self) { try Manifest(decoding: Value.map(entries).messagePack) }
    let shuffled = Value.map(entries.prefix(2) + entries.suffix(4).reversed()).messagePack
    #expect(throws: DeploymentError.self) { try Manifest.stored(shuffled) }
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
    var generator = SeededRandom(seed: 42)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      #expect(throws: DeploymentError.self) { try Manifest(decoding: bytes) }
    }
  }
}
