internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What `system.catalogue` answers.
internal enum CatalogueDescription {
  static func describe(_ catalogue: Catalogue, core: ServerCore) -> Value {
    var entries: [Value.Entry] = [
      .init("version", .string(core.agent)),
      .init("generation", .int(Int64(catalogue.serial))),
      .init("digest", .string(catalogue.digest)),
      .init("started_ms", .int(core.startedMilliseconds)),
    ]
    if let name = core.serverName { entries.insert(.init("server", .string(name)), at: 0) }
    let services = catalogue.services.enumerated().filter { $0.element.isServedHere }
    entries.append(
      .init(
        "services",
        .list(
          services.map { index, service in
            var fields: [Value.Entry] = [.init("name", .string(service.name))]
            if let tenants = service.tenants {
              fields.append(.init("tenants", .list(tenants.sorted().map { .string($0.text) })))
            }
            fields.append(.init("providers", .list(service.providers.map { .string($0) })))
            let procedures = catalogue.allProcedures.filter { $0.service == index }
            fields.append(.init("procedures", .list(procedures.map { describe($0.procedure) })))
            return .map(fields)
          })))
    return .map(entries)
  }

  private static func describe(_ procedure: Procedure) -> Value {
    var fields: [Value.Entry] = [
      .init("name", .string(procedure.signature.name)),
      .init(
        "parameters",
        .list(
          procedure.signature.parameters.map { parameter in
            var fields: [Value.Entry] = []
            if let name = parameter.name { fields.append(.init("name", .string(name))) }
            fields.append(.init("type", .string(parameter.type.description)))
            return .map(fields)
          })),
      .init("returns", .list(procedure.signature.returns.map { .string($0.description) })),
      .init("language", .string(procedure.language.rawValue)),
      .init("function", .string(procedure.function)),
      .init("digest", .string(procedure.digest)),
      .init("source_name", .string(procedure.sourceName)),
      .init("idempotent", .bool(procedure.idempotent)),
    ]
    if let text = procedure.documentation { fields.append(.init("doc", .string(text))) }
    if let limit = procedure.timeoutMilliseconds { fields.append(.init("timeout_ms", .int(Int64(limit)))) }
    if let limit = procedure.memoryBytes { fields.append(.init("memory_bytes", .int(Int64(limit)))) }
    return .map(fields)
  }
}

/// What `system.stats` answers.
internal enum StatsDescription {
  static func describe(_ snapshot: LoopSnapshot, host: ServerLoop) -> Value {
    let totals = snapshot.totals
    let uptime = (SystemClock.monotonicNanoseconds() &- host.core.started) / 1_000_000
    let procedures = host.catalogue.allProcedures.compactMap { procedure -> Value? in
      let id = Int(procedure.id)
      guard id < snapshot.procedures.count, id >= SystemProcedure.allCases.count else { return nil }
      let metrics = snapshot.procedures[id]
      return .map([
        .init("service", .string(procedure.signature.service)),
        .init("rpc", .string(procedure.signature.name)),
        .init("types", .list(procedure.signature.parameterTypes.map { .string($0.description) })),
        .init("calls", .int(Int64(metrics.calls))),
        .init("errors", .int(Int64(metrics.errors))),
        .init("total_us", .int(Int64(metrics.nanoseconds / 1000))),
      ])
    }
    var entries: [Value.Entry] = [
      .init("connections", .int(Int64(totals.connections))),
      .init("connections_total", .int(Int64(totals.connectionsTotal))),
      .init("connections_refused", .int(Int64(totals.connectionsRefused))),
      .init("calls", .int(Int64(totals.calls))),
      .init("calls_in_flight", .int(Int64(totals.callsInFlight))),
      .init("errors", .int(Int64(totals.errors))),
      .init("cancelled", .int(Int64(totals.cancelled))),
      .init("deadline_exceeded", .int(Int64(totals.deadlineExceeded))),
      .init("refused", .int(Int64(totals.refused))),
      .init("bytes_in", .int(Int64(totals.bytesIn))),
      .init("bytes_out", .int(Int64(totals.bytesOut))),
      .init("uptime_ms", .int(Int64(uptime))),
      .init("loops", .int(Int64(host.options.loops))),
      .init("generation", .int(Int64(host.catalogue.serial))),
      .init("per_procedure", .list(procedures)),
    ]
    if let degraded = host.core.degraded { entries.append(.init("degraded", .string(degraded))) }
    return .map(entries)
  }
}
