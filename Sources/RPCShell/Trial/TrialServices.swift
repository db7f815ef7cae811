import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

/// The services of a file as a server that provides all of them would have them.
struct TrialServices: Sendable {
  let catalogue: Catalogue
  private let sources: [String: [UInt8]]

  init(_ file: InitFile) {
    let services = file.network.services
    sources = file.sources
    let positions = Dictionary(
      services.enumerated().map { (UTF8Key($0.element.name), $0.offset) },
      uniquingKeysWith: { first, _ in first })
    catalogue = Catalogue(
      serial: 1, digest: "",
      services: services.map {
        CatalogueService(name: $0.name, tenants: nil, providers: $0.providers, isServedHere: true)
      },
      clients: [],
      procedures: file.procedures.enumerated().compactMap { index, procedure in
        positions[UTF8Key(procedure.signature.service)].map {
          BoundProcedure(
            id: UInt32(index), procedure: procedure,
            implementation: .source(
              SourceUnit(procedure: procedure, source: file.sources[procedure.digest] ?? [])),
            service: $0)
        }
      })
  }

  /// The versions of Python that services name.
  var pythonVersions: Set<String> {
    Set(catalogue.allProcedures.compactMap(\.procedure.confinement.provision.python))
  }

  /// What has to be installed before it can run.
  func requirements(of procedure: Procedure) -> PythonRequirements? {
    let provision = procedure.confinement.provision
    guard procedure.language == .python, let digest = provision.requirements else { return nil }
    return PythonRequirements(
      digest: digest, content: sources[digest] ?? [], python: provision.python,
      service: procedure.signature.service, confinement: procedure.confinement)
  }

  func unit(of procedure: Procedure) -> SourceUnit? {
    for bound in catalogue.allProcedures where bound.procedure == procedure {
      if case .source(let unit) = bound.implementation { return unit }
    }
    return nil
  }
}
