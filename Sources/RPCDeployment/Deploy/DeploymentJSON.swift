import RPCNetwork
import RPCProcedures
import RPCProto
package import RPCWire

/// A report as programs read it.
package enum DeploymentJSON {
  package static func value(of report: DeploymentReport, isDryRun: Bool) -> Value {
    entries(
      ("ok", .bool(report.succeeded)), ("dry_run", .bool(isDryRun)),
      ("deployment", report.deployment.map { DeploymentStatus.Deployment($0, isTrusted: true) }.map(value)),
      ("servers", .list(report.servers.map(value))),
      ("hints", report.hints.isEmpty ? nil : .list(report.hints.map(value))))
  }

  package static func value(of errors: InitFileErrors) -> Value {
    [
      "ok": false,
      "errors": .list(errors.diagnostics.map(value)),
      "omitted": .int(Int64(errors.omitted)),
    ]
  }

  private static func value(_ diagnostic: Diagnostic) -> Value {
    entries(
      ("file", .string(diagnostic.file)),
      ("line", diagnostic.line > 0 ? .int(Int64(diagnostic.line)) : nil),
      ("column", diagnostic.column > 0 ? .int(Int64(diagnostic.column)) : nil),
      ("message", .string(diagnostic.message)),
      ("suggestion", diagnostic.suggestion.map(Value.string)))
  }

  private static func value(_ server: DeploymentReport.Server) -> Value {
    let (outcome, error) = describe(server.outcome)
    var generation = server.plan.map { Int64($0.generation) }
    if case .deployed(let serial) = server.outcome { generation = Int64(serial) }
    return entries(
      ("name", .string(server.server.name)), ("host", .string(server.server.host)),
      ("port", .int(Int64(server.server.port))), ("outcome", .string(outcome)),
      ("generation", generation.map(Value.int)), ("sent_sources", .int(Int64(server.sentSources))),
      ("sent_bytes", .int(Int64(server.sentBytes))),
      ("error", error.map { ["exception": .string($0.exception.rawValue), "message": .string($0.message)] }),
      (
        "load_failures", server.loadFailures.isEmpty ? nil : .list(server.loadFailures.map(\.encoded))
      ), ("plan", server.plan.map(value)))
  }

  private static func describe(_ outcome: DeploymentReport.Outcome) -> (String, RPCError?) {
    switch outcome {
    case .upToDate: ("up_to_date", nil)
    case .deployed: ("deployed", nil)
    case .planned: ("planned", nil)
    case .leftAlone: ("left_alone", nil)
    case .missed(let error): ("missed", error)
    case .refused(let error): ("refused", error)
    case .unconfirmed(let error): ("unconfirmed", error)
    }
  }

  private static func value(_ deployment: DeploymentStatus.Deployment) -> Value {
    entries(
      ("id", .string(deployment.id)), ("serial", .int(Int64(deployment.serial))),
      ("network", .string(deployment.network)), ("fingerprint", .string(deployment.fingerprint)),
      ("who", .string(deployment.who)), ("time_ms", .int(Int64(deployment.timeMilliseconds))),
      ("message", deployment.message.map(Value.string)), ("trusted", .bool(deployment.isTrusted)))
  }

  private static func value(_ plan: Plan) -> Value {
    entries(
      ("digest", .string(plan.digest)), ("base_digest", .string(plan.base.manifest)),
      ("topology_digest", .string(plan.topologyDigest)),
      ("base_topology_digest", .string(plan.base.topology)),
      ("in_force", plan.deployment.map(value)), ("unsigned", plan.isUnsigned ? .bool(true) : nil),
      ("added", .list(plan.added.map(value))),
      (
        "changed",
        .list(
          plan.changed.map { change in
            [
              "procedure": .string(change.new.signature.description),
              "digest": .string(change.new.digest),
              "details": .list(change.details.map(Value.string)),
            ]
          })
      ),
      ("removed", .list(plan.removed.map(value))), ("unchanged", .int(Int64(plan.unchanged.count))),
      (
        "warnings",
        plan.protoChanges.isEmpty ? nil : .list(plan.protoChanges.map { .string($0.message) })
      ),
      ("notes", .list(plan.notes.map(Value.string))), ("degraded", plan.degraded.map(Value.string)))
  }

  private static func value(_ procedure: Procedure) -> Value {
    ["procedure": .string(procedure.signature.description), "digest": .string(procedure.digest)]
  }

  private static func entries(_ pairs: (String, Value?)...) -> Value {
    .map(pairs.compactMap { key, value in value.map { Value.Entry(key, $0) } })
  }
}
