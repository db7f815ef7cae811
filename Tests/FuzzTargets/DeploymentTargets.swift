import RPCDeployment
import RPCNetwork
import RPCProcedures
import RPCTransport
import RPCWire

enum DeploymentTargets {
  /// A manifest that is taken is in its one canonical form.
  static func manifest(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let manifest = try? Manifest(decoding: bytes) else { return }
    try promise(manifest.encode() == bytes, "a manifest in another than its canonical form")
  }

  /// A topology that is taken is in its one canonical form.
  static func topology(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let topology = try? Topology(decoding: bytes) else { return }
    try promise(topology.encode() == bytes, "a topology in another than its canonical form")
  }

  /// A file without errors makes manifests that servers take; a file with errors names them.
  static func initFile(_ bytes: [UInt8]) throws(BrokenPromise) {
    let result = Result { () throws(InitFileErrors) in
      try InitFile.parse(bytes, path: "init.yaml", checkingSources: false)
    }
    switch result {
    case .failure(let errors): try promise(!errors.diagnostics.isEmpty, "a file with errors that has none")
    case .success(let file):
      for (server, manifest) in file.manifests() {
        try isTaken(manifest, beside: file.network, by: server)
      }
    }
  }

  private static func isTaken(
    _ manifest: Manifest, beside topology: Topology, by server: String
  ) throws(BrokenPromise) {
    var procedures = manifest.procedures
    for index in procedures.indices where procedures[index].digest.isEmpty {
      // The sources were not looked for, so they have no digests.
      procedures[index].digest = String(repeating: "0", count: 64)
    }
    let manifest = Manifest(
      server: manifest.server, services: manifest.services, procedures: procedures)
    let again = Result { () throws(DeploymentError) in
      try DeploymentContent(manifest: manifest.encode(), topology: topology.encode()).manifest
    }
    switch again {
    case .success(let again):
      try promise(again == manifest, "the manifest of \(server) changed on its way")
    case .failure(let error): throw BrokenPromise("the manifest of \(server) is refused: \(error)")
    }
  }

  /// Arguments and answers of `system` are refused or mean the same when they are written and read again.
  static func system(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let values = try? Value.list(messagePack: bytes) else { return }
    for procedure in SystemContract.procedures { try same(procedure, values) }
  }

  private static func same<Procedure: SystemProcedure>(
    _ type: Procedure.Type, _ values: [Value]
  ) throws(BrokenPromise) {
    if let call = try? Procedure(arguments: values) {
      try promise((try? Procedure(arguments: call.arguments)) == call, "\(call) changed on its way")
    }
    if let answer = try? Procedure.answer(values) {
      try promise((try? Procedure.answer(answer.values)) == answer, "\(answer) changed on its way")
    }
  }

  /// The record of a deployment on disk survives being written again.
  static func record(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let record = try? DeploymentRecord(text: String(decoding: bytes, as: UTF8.self)) else { return }
    guard let again = try? DeploymentRecord(text: record.text) else {
      throw BrokenPromise("\(record) is not read again")
    }
    try promise(
      again.digest == record.digest && again.transaction == record.transaction
        && again.parent == record.parent
        && again.preparedMilliseconds == record.preparedMilliseconds && again.signed == record.signed,
      "\(record) came back as \(again)")
  }

  /// What a deployer signs is in its one canonical form, and nothing holds that nobody signed.
  static func statement(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let statement = try? DeploymentStatement(decoding: bytes) else { return }
    try promise(statement.encode() == bytes, "a statement in another than its canonical form")
    try promise(
      (try? SignedStatement(bytes: bytes, signature: Array(bytes.suffix(64)))) == nil, "anybody can sign")
  }

  /// What a source defines is found, or left open, whatever the source is: the first byte tells the language.
  static func outline(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let source = Array(bytes.dropFirst())
    let outline = first % 2 == 0 ? LuaOutline.read(source) : PythonOutline.read(source)
    try promise(outline.names.count <= source.count, "\(outline.names.count) names in \(source.count) bytes")
  }

  /// An address or network means the same when it is written and read again.
  static func address(_ bytes: [UInt8]) throws(BrokenPromise) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let address = SocketAddress(ip: text, port: 1) {
      try promise(
        SocketAddress(ip: address.ip, port: 1)?.ipBytes == address.ipBytes, "\(text) is not \(address)")
    }
    guard let block = IPBlock(parsing: text) else { return }
    try promise(IPBlock(parsing: block.description) == block, "\(text) is not \(block)")
    try promise(block.contains(block.bytes), "\(block) does not contain itself")
  }
}
