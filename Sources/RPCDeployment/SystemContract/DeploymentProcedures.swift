package import RPCWire

// The steps of a deployment, which is named by the transaction that its sender made up.

/// For those who have proven a key that may deploy.
package protocol DeployersProcedure: SystemProcedure {}

extension DeployersProcedure {
  package static var access: SystemAccess { .deployers }
}

/// A step of a deployment that takes its name alone.
package protocol DeploymentStep: DeployersProcedure {
  var transaction: String { get set }
  /// Of no deployment.
  init()
}

extension DeploymentStep {
  package static var empty: Self { Self() }
  package static var fields: [SystemField<Self>] { [.init("tx", \.transaction)] }

  package init(transaction: String) {
    self.init()
    self.transaction = transaction
  }
}

package struct DeployStatus: DeployersProcedure, ProcedureWithoutArguments {
  package typealias Answer = DeploymentStatus

  package static let name = "deploy_status"
  package static let documentation = "The generation in force and the deployment under way."

  package init() {}
}

/// A call that says who deploys, in words.
package protocol NamesDeployer: DeployersProcedure {
  var who: String { get set }
}

package struct DeployBegin: NamesDeployer {
  /// The digests of the sources to send.
  package typealias Answer = [String]

  @ComparedByUTF8 package var transaction: String
  @ComparedByUTF8 package var who: String
  /// The digest of the manifest that the plan was made against, empty for none.
  @ComparedByUTF8 package var baseDigest: String
  /// The digest of the topology that the plan was made against, empty for none.
  @ComparedByUTF8 package var baseTopology: String
  package var force: Bool
  package var manifest: [UInt8]
  package var topology: [UInt8]
  /// What the deployer signed: an encoded `DeploymentStatement`.
  package var statement: [UInt8]
  /// The signature, 64 bytes.
  package var signature: [UInt8]

  package static let name = "deploy_begin"
  package static let documentation = "Begins a deployment; answers the digests of the sources to send."
  package static let empty = DeployBegin(
    transaction: "", who: "", base: DeploymentBase(), force: false, manifest: [], topology: [], statement: [],
    signature: [])
  package static let fields: [SystemField<DeployBegin>] = [
    .init("tx", \.transaction), .init("who", \.who), .init("base_digest", \.baseDigest),
    .init("base_topology", \.baseTopology), .init("force", \.force), .init("manifest", \.manifest),
    .init("topology", \.topology), .init("statement", \.statement), .init("signature", \.signature),
  ]

  /// A deployment of this content as it was signed for one server.
  package init(
    transaction: String, who: String, base: DeploymentBase, force: Bool, content: DeploymentContent,
    signed: SignedStatement
  ) {
    self.init(
      transaction: transaction, who: who, base: base, force: force, manifest: content.manifest.encode(),
      topology: content.topology.encode(), statement: signed.bytes, signature: signed.signature)
  }

  package init(
    transaction: String, who: String, base: DeploymentBase, force: Bool, manifest: [UInt8], topology: [UInt8],
    statement: [UInt8], signature: [UInt8]
  ) {
    self.transaction = transaction
    self.who = who
    baseDigest = base.manifest
    baseTopology = base.topology
    self.force = force
    self.manifest = manifest
    self.topology = topology
    self.statement = statement
    self.signature = signature
  }

  package var base: DeploymentBase { DeploymentBase(manifest: baseDigest, topology: baseTopology) }
}

package struct DeployPut: DeployersProcedure {
  /// How many bytes of the source the server has.
  package typealias Answer = Int

  @ComparedByUTF8 package var transaction: String
  /// The source's SHA-256.
  @ComparedByUTF8 package var digest: String
  package var offset: Int
  package var data: [UInt8]
  package var last: Bool

  package static let name = "deploy_put"
  package static let documentation = "Sends a part of a source; answers how many bytes of it are there."
  package static let empty = DeployPut(transaction: "", digest: "", offset: 0, data: [], last: false)
  package static let fields: [SystemField<DeployPut>] = [
    .init("tx", \.transaction), .init("digest", \.digest), .init("offset", \.offset), .init("data", \.data),
    .init("last", \.last),
  ]

  package init(transaction: String, digest: String, offset: Int, data: [UInt8], last: Bool) {
    self.transaction = transaction
    self.digest = digest
    self.offset = offset
    self.data = data
    self.last = last
  }
}

package struct DeployPrepare: DeploymentStep {
  package struct Answer: SystemMap {
    /// What could not be loaded. Where it is empty, everything is loaded and durable.
    package var failures: [LoadFailure]

    package static let empty = Answer()
    package static let fields: [SystemField<Answer>] = [.init(unlessEmpty: "failures", \.failures)]

    package init(failures: [LoadFailure] = []) { self.failures = failures }
  }

  @ComparedByUTF8 package var transaction = ""

  package static let name = "deploy_prepare"
  package static let documentation = "Loads and checks everything, so that commit cannot fail."

  package init() {}
}

package struct DeployCommit: DeploymentStep {
  /// The serial that is in force now.
  package typealias Answer = Int

  @ComparedByUTF8 package var transaction = ""

  package static let name = "deploy_commit"
  package static let documentation = "Puts the deployment in force; answers its number."

  package init() {}
}

package struct DeployAbort: DeploymentStep {
  package typealias Answer = NoAnswer

  @ComparedByUTF8 package var transaction = ""

  package static let name = "deploy_abort"
  package static let documentation = "Forgets the deployment."

  package init() {}
}

package struct DeployUnlock: NamesDeployer {
  /// Whose lock it was, nil where there was none.
  package typealias Answer = DeploymentStatus.Lock?

  @ComparedByUTF8 package var who: String

  package static let name = "deploy_unlock"
  package static let documentation =
    "Ends the deployment that is under way, its own or another's; answers whose it was."
  package static let empty = DeployUnlock(who: "")
  package static let fields: [SystemField<DeployUnlock>] = [.init("who", \.who)]

  package init(who: String) { self.who = who }
}
