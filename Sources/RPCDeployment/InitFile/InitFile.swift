public import RPCNetwork
package import RPCProcedures
import RPCWire

/// An init.yaml that was read and found right: the network, the services and every procedure with its source.
public struct InitFile: Sendable {
  /// As it was named by the caller.
  public let path: String
  /// The network and the services, in the order of the file.
  public let network: Topology
  /// What the network is called: servers take deployments of their own network only.
  public let networkName: String
  /// In the order of the file.
  package let procedures: [Procedure]
  /// The sources' bytes by digest; empty where the file was loaded without them.
  package let sources: [String: [UInt8]]
  /// How the file names each source, by digest.
  package let sourcePaths: [String: String]

  /// Where it declares each procedure, by the procedure's identity: `init.yaml:14:7`.
  package let places: [String: String]

  /// What could not be found in sources; shown where a server refuses one of them.
  package let hints: [SourceHint]

  /// Reads a file and checks it completely.
  ///
  /// - Parameters:
  ///   - path: of the file.
  ///   - checkingSources: false for tools that only call procedures, on machines that may not have the sources: then
  ///     they are neither read nor missed.
  /// - Throws: everything that is wrong with it, at once.
  public static func load(
    _ path: String = defaultPath, checkingSources: Bool = true
  ) throws(InitFileErrors) -> InitFile {
    try load(path, checkingSources: checkingSources, languages: .all)
  }

  package static func load(
    _ path: String, checkingSources: Bool = true, languages: Languages
  ) throws(InitFileErrors) -> InitFile {
    try parse(try content(path).get(), path: path, checkingSources: checkingSources, languages: languages)
  }

  /// The bytes of a file, or why it cannot be read.
  static func content(_ path: String) -> Result<[UInt8], InitFileErrors> {
    SourceFile.readBytes(path, limit: DeploymentLimits.initFileBytesMax).mapError { reason in
      InitFileErrors([Diagnostic(file: path, line: 0, column: 0, message: reason.message)])
    }
  }

  /// Where a file is looked for when none is named.
  public static let defaultPath = "init.yaml"

  /// Checks a text as if it stood in the file `path`, where relative sources start from.
  package static func parse(
    _ bytes: [UInt8], path: String, checkingSources: Bool = true
  ) throws(InitFileErrors) -> InitFile {
    try parse(bytes, path: path, checkingSources: checkingSources, languages: .all)
  }

  package static func parse(
    _ bytes: [UInt8], path: String, checkingSources: Bool = true, languages: Languages
  ) throws(InitFileErrors) -> InitFile {
    var reader = InitFileReader(file: path, checksSources: checkingSources, languages: languages)
    reader.read(bytes)
    if let errors = reader.errors { throw errors }
    return InitFile(path: path, reader: reader)
  }

  private init(path: String, reader: InitFileReader) {
    self.path = path
    networkName = reader.networkName
    let services = reader.services.map { service in
      Topology.Service(
        name: service.name, providers: service.providers.map(\.name),
        tenants: service.tenants.map { Tenant($0.name).text })
    }
    network = Topology(
      servers: reader.servers.map(\.server), clients: reader.clients.map(\.client),
      services: services)
    let confinements = Dictionary(
      reader.services.map { (UTF8Key($0.name), $0.confinement) }, uniquingKeysWith: { first, _ in first })
    procedures = reader.procedures.map { declared in
      var procedure = declared.procedure
      procedure.confinement = confinements[declared.service.key] ?? .standard
      return procedure
    }
    hints = reader.hints
    places = Dictionary(
      reader.procedures.map {
        (Manifest.identity(of: $0.procedure.signature), "\(path):\($0.place.line):\($0.place.column)")
      }
    ) { first, _ in first }
    var sources: [String: [UInt8]] = [:]
    for case .bytes(let bytes, let digest) in reader.sources.values { sources[digest] = bytes }
    for (digest, file) in reader.requirementFiles { sources[digest] = file.bytes }
    self.sources = sources
    sourcePaths = Dictionary(
      reader.procedures.map { ($0.procedure.digest, $0.path) }
        + reader.requirementFiles.map { ($0.key, $0.value.path) }
    ) { first, _ in first }
  }

  /// What each server is to be, by its name: exactly the procedures of the services that it provides.
  package func manifests() -> [String: Manifest] {
    var manifests: [String: Manifest] = [:]
    for server in network.servers {
      let provided = Set(
        network.services.filter { $0.providers.contains { $0.hasSameUTF8(as: server.name) } }.map(\.name))
      manifests[server.name] = Manifest(
        server: server.name, services: network.services,
        procedures: procedures.filter { provided.contains($0.signature.service) })
    }
    return manifests
  }
}
