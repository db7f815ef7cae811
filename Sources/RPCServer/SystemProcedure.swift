internal import RPCProcedures
internal import RPCWire

/// The procedures that every server has by itself, in the reserved service `system`. Their numbers are their
/// ids on the wire.
internal enum SystemProcedure: Int, CaseIterable {
  case ping, catalogue, stats, source
  case deployStatus, deployBegin, deployPut, deployPrepare, deployCommit, deployAbort
  case deployUnlock

  static let service = "system"

  private var shape: (name: String, parameters: [Parameter], returns: [ValueType], doc: String) {
    let tx = Parameter(.string, name: "tx")
    return switch self {
    case .ping: ("ping", [], [.string], "Answers pong.")
    case .catalogue: ("catalogue", [], [.any], "What this server serves: services, procedures, generation.")
    case .stats: ("stats", [], [.any], "Counters since the server started.")
    case .source:
      (
        "source",
        [
          Parameter(.string, name: "service"), Parameter(.string, name: "procedure"),
          Parameter(.list(.string), name: "types"),
        ],
        [.string], "The source of a procedure as it is deployed."
      )
    case .deployStatus: ("deploy_status", [], [.any], "The generation in force and the deployment under way.")
    case .deployBegin:
      (
        "deploy_begin",
        [
          tx, Parameter(.string, name: "who"), Parameter(.string, name: "base_digest"),
          Parameter(.bool, name: "force"), Parameter(.bytes, name: "manifest"),
        ], [.list(.string)], "Begins a deployment; answers the digests of the sources to send."
      )
    case .deployPut:
      (
        "deploy_put",
        [
          tx, Parameter(.string, name: "digest"), Parameter(.int, name: "offset"),
          Parameter(.bytes, name: "data"), Parameter(.bool, name: "last"),
        ], [.int], "Sends a part of a source; answers how many bytes of it are there."
      )
    case .deployPrepare:
      ("deploy_prepare", [tx], [.any], "Loads and checks everything, so that commit cannot fail.")
    case .deployCommit: ("deploy_commit", [tx], [.int], "Puts the deployment in force; answers its number.")
    case .deployAbort: ("deploy_abort", [tx], [], "Forgets the deployment.")
    case .deployUnlock:
      (
        "deploy_unlock", [Parameter(.string, name: "who")], [.any],
        "Ends the deployment that is under way, whoever began it; answers whose it was."
      )
    }
  }

  /// Which argument says who deploys.
  var deployerPosition: Int? {
    switch self {
    case .deployBegin: 1
    case .deployUnlock: 0
    default: nil
    }
  }

  var isDeployment: Bool { rawValue >= SystemProcedure.deployStatus.rawValue }

  func bound(service: Int) -> BoundProcedure {
    let shape = shape
    return BoundProcedure(
      id: UInt32(rawValue),
      procedure: Procedure(
        signature: Signature(
          service: Self.service, name: shape.name, parameters: shape.parameters, returns: shape.returns),
        language: .closure, documentation: shape.doc, idempotent: self == .ping || !isDeployment),
      implementation: .system(rawValue), service: service)
  }
}
