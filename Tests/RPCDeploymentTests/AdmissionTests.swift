import RPCKeys
import RPCNetwork
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// What a server takes is signed: by who sends it, for this server and network, and newer than all before.
@Suite("A signed deployment")
struct AdmissionTests {
  /// What is wrong with a request, and what the server says of it.
  struct Fault: CustomTestStringConvertible {
    var testDescription: String
    var kind: DeploymentError.Kind
    var says: String
    var caller = Samples.deployer
    var change: @Sendable (inout DeploymentStatement, inout DeployBegin, DeploymentContent) -> Void

    init(
      _ name: String, _ kind: DeploymentError.Kind, _ says: String, caller: PrivateKey = Samples.deployer,
      _ change: @escaping @Sendable (inout DeploymentStatement, inout DeployBegin, DeploymentContent) -> Void
    ) {
      testDescription = name
      self.kind = kind
      self.says = says
      self.caller = caller
      self.change = change
    }
  }

  static let stranger = Samples.signer(9)

  static let faults: [Fault] = [
    Fault("whose signature was changed", .untrusted, "is not signed by the key that it names") {
      $1.signature[17] ^= 1
      _ = ($0, $2)
    },
    Fault("whose signature is cut short", .untrusted, "is not signed by the key that it names") {
      $1.signature.removeLast()
      _ = ($0, $2)
    },
    Fault("whose statement was changed", .untrusted, "is not signed by the key that it names") {
      $0.origin.serial += 1
      $1.statement = $0.encode()
      _ = $2
    },
    Fault("that somebody else sends", .untrusted, "sent it", caller: stranger) { _ = ($0, $1, $2) },
    Fault("with another manifest than was signed", .untrusted, "the manifest is not the one that was signed")
    {
      $1.manifest = Samples.manifest([]).encode()
      _ = ($0, $2)
    },
    Fault("with another topology than was signed", .untrusted, "the topology is not the one that was signed")
    {
      $1.topology = Samples.topology(port: 77).encode()
      _ = ($0, $2)
    },
    Fault("for another server's key", .misdirected, "is signed for the server 's1', whose key is SHA256:") {
      $0.serverKey = stranger.publicKey
      $1 = resigned($1, $0)
      _ = $2
    },
    Fault("for all servers of a name", .misdirected, "is signed for the server 's*', and this server's key") {
      $0.server = "s*"
      $0.serverKey = nil
      $1 = resigned($1, $0)
      _ = $2
    },
    Fault("for a server of another name", .misdirected, "is for the server 's1', and signed for 's2'") {
      $0.server = "s2"
      $1 = resigned($1, $0)
      _ = $2
    },
    Fault(
      "for another network", .misdirected, "is for the network 'other', and this server belongs to 'default'"
    ) {
      $0.origin.network = "other"
      $1 = resigned($1, $0)
      _ = $2
    },
    Fault("with the serial in force", .superseded, "has the serial 2, and this server has seen 2") {
      $0.origin.serial = 2
      $1 = resigned($1, $0)
      _ = $2
    },
    Fault("with an older serial", .superseded, "has the serial 1, and this server has seen 2") {
      $0.origin.serial = 1
      $1 = resigned($1, $0)
      _ = $2
    },
    Fault("of a later format", .malformed, "the deployment has format 2, this program reads 1") {
      $1.statement = changed($0) { $0[0].value = 2 }
      _ = $2
    },
    Fault("with a field that is not known", .malformed, "deployment has an unknown key 'and'") {
      $1.statement = changed($0) { $0.append(Value.Entry("and", 1)) }
      _ = $2
    },
    Fault("without a statement", .malformed, "the deployment is not readable") {
      $1.statement = []
      _ = ($0, $2)
    },
  ]

  static func resigned(_ request: DeployBegin, _ statement: DeploymentStatement) -> DeployBegin {
    let signed = SignedStatement(statement, by: Samples.deployer)
    var request = request
    request.statement = signed.bytes
    request.signature = signed.signature
    return request
  }

  static func changed(_ statement: DeploymentStatement, _ body: (inout [Value.Entry]) -> Void) -> [UInt8] {
    guard let value = try? Value(messagePack: statement.encode()), case .map(var entries) = value else {
      return []
    }
    body(&entries)
    return Value.map(entries).messagePack
  }

  /// Two deployments on disk, and a third one that would be right.
  static func bench(
    _ directory: TemporaryDirectory = TemporaryDirectory(inMemory: true)
  ) throws -> (StagingBench, DeploymentStatement, DeployBegin, DeploymentContent) {
    let bench = try DiskFaultTests.prepared(directory)
    let content = Samples.content(DiskFaultTests.third)
    let store = bench.staging.store
    let base = DeploymentBase(manifest: store.current?.digest ?? "", topology: store.topology?.digest ?? "")
    let request = Samples.request("t3", content, serial: 3, base: base)
    return (bench, try DeploymentStatement(decoding: request.statement), request, content)
  }

  @Test("is refused, told and noted, and nothing is staged or locked, where it is one", arguments: faults)
  func refused(fault: Fault) throws {
    let directory = TemporaryDirectory(inMemory: true)
    var (bench, statement, request, content) = try Self.bench(directory)
    fault.change(&statement, &request, content)
    for _ in ["at once", "after a restart"] {
      // To be forced passes over the network's name alone.
      for isForced in fault.says.contains("network") ? [false] : [false, true] {
        request.force = isForced
        #expect {
          try bench.staging.begin(request, from: fault.caller.publicKey, now: bench.now)
        } throws: { error in
          (error as? DeploymentError)?.kind == fault.kind && "\(error)".contains(fault.says)
        }
      }
      #expect(bench.staging.status(now: bench.now).lock == nil)
      #expect(try bench.disk.list("incoming") == [])
      #expect(bench.staging.store.current?.serial == 2)
      bench.staging.store.close()
      bench = try StagingBench(directory)
    }
    let log = try #require(try bench.disk.read("audit.log", limit: 100_000))
    let lines = String(decoding: log, as: UTF8.self).split(separator: "\n")
    #expect(lines.contains { $0.contains("refuse transaction=t3 who=tester") && $0.contains(fault.says) })
  }

  @Test("is taken where nothing is wrong, and its serial counts from then on")
  func taken() throws {
    let (bench, _, request, _) = try Self.bench()
    let key = Samples.deployer.publicKey
    let wanted = try bench.staging.begin(request, from: key, now: bench.now)
    #expect(try bench.staging.begin(request, from: key, now: bench.now) == wanted)
    try bench.send("t3", wanted, sources: DiskFaultTests.sources)
    try bench.prepare("t3")
    _ = try bench.staging.commit("t3", now: bench.now)
    let status = bench.staging.status(now: bench.now) { $0 != key }
    #expect(status.deployment == DeploymentStatus.Deployment(Samples.origin(3), isTrusted: false))
    #expect(status.highestSerial == 3)
    var replay = request
    replay.transaction = "t4"
    replay.force = true
    #expect { try bench.staging.begin(replay, from: key, now: bench.now) } throws: {
      ($0 as? DeploymentError)?.kind == .superseded
    }
  }

  @Test("of another network is taken where it is forced: the server moves there")
  func moves() throws {
    var (bench, statement, request, _) = try Self.bench()
    statement.origin.network = "other"
    request = Self.resigned(request, statement)
    request.force = true
    try bench.send(
      "t3", try bench.staging.begin(request, from: Samples.deployer.publicKey, now: bench.now),
      sources: DiskFaultTests.sources)
    try bench.prepare("t3")
    _ = try bench.staging.commit("t3", now: bench.now)
    #expect(bench.staging.status(now: bench.now).deployment?.network == "other")
  }

  @Test("that is a dry run is prepared and never put in force, and uses up no serial")
  func rehearsal() throws {
    var (bench, statement, request, _) = try Self.bench()
    statement.origin.isRehearsal = true
    request = Self.resigned(request, statement)
    try bench.send(
      "t3", try bench.staging.begin(request, from: Samples.deployer.publicKey, now: bench.now),
      sources: DiskFaultTests.sources)
    try bench.prepare("t3")
    #expect { try bench.staging.commit("t3", now: bench.now) } throws: { "\($0)".contains("is a dry run") }
    bench.staging.abort("t3")
    #expect(bench.staging.store.current?.serial == 2)
    #expect(bench.staging.store.highestSerial == 2)
  }

  @Test("of what is in force already loads nothing, and is the deployment in force from then on")
  func restated() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try DiskFaultTests.prepared(directory)
    #expect(try bench.begin("t3", GenerationStoreTests.second) == [])
    #expect(try bench.staging.startLoading("t3", now: bench.now) == nil)
    #expect(try bench.staging.commit("t3", now: bench.now).serial == 2)
    let status = bench.staging.status(now: bench.now)
    #expect(status.deployment?.serial == 3 && status.generation == 2 && status.topology == 2)
    bench.staging.store.close()
    let again = try StagingBench(directory)
    #expect(again.staging.store.degraded == nil)
    #expect(again.staging.status(now: 0).deployment?.serial == 3)
  }
}
