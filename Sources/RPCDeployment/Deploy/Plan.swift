package import RPCProcedures
package import RPCProto
import RPCWire

/// What a deployment would change on one server: what the file wants less what the server has. Pure.
package struct Plan: Hashable, Sendable {
  /// A procedure that is there and will be different.
  package struct Change: Hashable, Sendable {
    package var old: Procedure
    package var new: Procedure

    /// What differs, each as `source 1a2b3c4d -> 5e6f7a8b`.
    package var details: [String] {
      var details: [String] = []
      func compare(_ what: String, _ old: String?, _ new: String?) {
        if !old.hasSameUTF8(as: new) { details.append("\(what) \(old ?? "none") -> \(new ?? "none")") }
      }
      compare("source", ContentDigest.short(old.digest), ContentDigest.short(new.digest))
      compare("arguments", Self.parameters(old), Self.parameters(new))
      compare("returns", Self.returns(old), Self.returns(new))
      compare("language", old.language.rawValue, new.language.rawValue)
      compare("function", old.function, new.function)
      compare("file", old.sourceName, new.sourceName)
      compare("timeout", old.timeoutMilliseconds.map { "\($0)ms" }, new.timeoutMilliseconds.map { "\($0)ms" })
      compare("memory", old.memoryBytes.map { "\($0) bytes" }, new.memoryBytes.map { "\($0) bytes" })
      compare("idempotent", "\(old.idempotent)", "\(new.idempotent)")
      compare("name in gRPC", old.grpc.method, new.grpc.method)
      if old.grpc.overload != new.grpc.overload { details.append("its place among the overloads") }
      compare(
        "confinement", old.confinement.words?.joined(separator: " "),
        new.confinement.words?.joined(separator: " "))
      if !old.documentation.hasSameUTF8(as: new.documentation) { details.append("doc") }
      return details
    }

    private static func parameters(_ procedure: Procedure) -> String {
      "(\(procedure.signature.parameters.map(\.description).joined(separator: ", ")))"
    }

    private static func returns(_ procedure: Procedure) -> String {
      "(\(procedure.signature.returns.map(\.description).joined(separator: ", ")))"
    }
  }

  package let content: DeploymentContent
  package var manifest: Manifest { content.manifest }
  /// The desired manifest's digest.
  package let digest: String
  /// The digests of what is in force, empty for nothing: what the plan is made against.
  package let base: DeploymentBase
  /// The serial in force, 0 for none.
  package let generation: Int
  package let added: [Procedure]
  package let changed: [Change]
  package let removed: [Procedure]
  package let unchanged: [Procedure]
  /// What else differs: services, who may call them, who provides them, the network.
  package let notes: [String]
  /// Why the server does not serve what was committed last.
  package let degraded: String?

  /// What was signed of what is in force; nil where nothing is, or nothing was signed.
  package let deployment: DeploymentStatus.Deployment?
  /// Whether what is in force was put there by a version that signed nothing.
  package let isUnsigned: Bool

  /// What the server's loops serve, by its digests: the same as `base` but while it switches.
  package let served: DeploymentBase
  /// Whether only servers and clients change: no procedure is loaded again, and the generation stays.
  package var isTopologyOnly: Bool {
    digest == base.manifest && topologyDigest != base.topology && degraded == nil && !isUnsigned
  }
  /// The desired topology's digest.
  package let topologyDigest: String

  /// What breaks programs that were made for methods as they were in gRPC.
  package let protoChanges: [ProtoChange]

  /// Nothing to do.
  package var isUpToDate: Bool {
    let desired = DeploymentBase(manifest: digest, topology: topologyDigest)
    return desired == base && desired == served && degraded == nil && !isUnsigned
  }

  package init(desired content: DeploymentContent, actual: ServerCatalogue, status: DeploymentStatus) {
    self.content = content
    let manifest = content.manifest
    digest = manifest.digest
    topologyDigest = content.topology.digest
    base = DeploymentBase(manifest: status.digest, topology: status.topologyDigest ?? "")
    generation = status.generation
    degraded = status.degraded
    deployment = status.deployment
    isUnsigned = status.isUnsigned
    served = DeploymentBase(manifest: actual.digest, topology: actual.topologyDigest ?? "")
    let old = Dictionary(
      actual.deployedServices.flatMap(\.procedures).map {
        (UTF8Key(Manifest.identity(of: $0.signature)), $0)
      },
      uniquingKeysWith: { $1 })
    var added: [Procedure] = []
    var changed: [Change] = []
    var unchanged: [Procedure] = []
    var wanted = Set<UTF8Key>()
    for procedure in manifest.procedures {
      let identity = UTF8Key(Manifest.identity(of: procedure.signature))
      wanted.insert(identity)
      switch old[identity] {
      case nil: added.append(procedure)
      case procedure: unchanged.append(procedure)
      case .some(let before): changed.append(Change(old: before, new: procedure))
      }
    }
    protoChanges = ProtoChange.all(from: old.keys.sorted().compactMap { old[$0] }, to: manifest.procedures)
    self.added = added
    self.changed = changed
    self.unchanged = unchanged
    removed = old.filter { !wanted.contains($0.key) }.sorted { $0.key < $1.key }.map(\.value)
    var notes = Self.notes(manifest, actual)
    let isSame = added.isEmpty && changed.isEmpty && removed.isEmpty && notes.isEmpty
    if isUnsigned { notes.append("what is in force is unsigned, and will be signed") }
    if !base.manifest.isEmpty {
      if topologyDigest != base.topology {
        notes.append("the addresses or keys of servers or clients changed")
      }
      if isSame, digest != base.manifest, !isUnsigned { notes.append("services elsewhere changed") }
    }
    self.notes = notes
  }

  private static func notes(_ manifest: Manifest, _ actual: ServerCatalogue) -> [String] {
    var notes: [String] = []
    if let name = actual.server, !name.hasSameUTF8(as: manifest.server) {
      notes.append("the server was deployed as '\(name)' before")
    }
    let desired = ServerCatalogue.services(of: manifest)
    let names = Set(desired.map { UTF8Key($0.name) })
    let old = Dictionary(actual.deployedServices.map { (UTF8Key($0.name), $0) }, uniquingKeysWith: { $1 })
    for service in desired {
      guard let before = old[UTF8Key(service.name)] else {
        notes.append("+ service \(service.name) for \(list(service.tenants ?? []))")
        continue
      }
      notes += difference("tenants of \(service.name)", before.tenants ?? [], service.tenants ?? [])
      notes += difference("providers of \(service.name)", before.providers, service.providers)
    }
    for name in old.keys.sorted() where !names.contains(name) { notes.append("- service \(name)") }
    return notes
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "nobody" : names.joined(separator: ", ")
  }

  private static func difference(_ what: String, _ old: [String], _ new: [String]) -> [String] {
    let (old, new) = (Set(old.map { UTF8Key($0) }), Set(new.map { UTF8Key($0) }))
    let added = new.subtracting(old).sorted().map { "+\($0)" }
    let removed = old.subtracting(new).sorted().map { "-\($0)" }
    return added.isEmpty && removed.isEmpty ? [] : ["\(what): \((added + removed).joined(separator: " "))"]
  }
}
