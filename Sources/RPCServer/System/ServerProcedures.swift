internal import RPCDeployment
internal import RPCKeys
internal import RPCNetwork
internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

extension Ping: SystemHandler {
  func run(_ call: SystemCall<Ping>) { call.answer("pong") }
}

extension DescribeCatalogue: SystemHandler {
  func run(_ call: SystemCall<DescribeCatalogue>) {
    var catalogue = ServerCatalogue(call.host.catalogue, core: call.host.core)
    // How services are set up is for those who set them up.
    if !call.host.core.deployers.contains(call.connection.caller) { catalogue.hideValues() }
    call.answer(catalogue)
  }
}

extension DescribeTopology: SystemHandler {
  func run(_ call: SystemCall<DescribeTopology>) {
    call.answer(ServerTopology(call.host.catalogue, core: call.host.core, for: call.caller))
  }
}

extension ReadStatistics: SystemHandler {
  func run(_ call: SystemCall<ReadStatistics>) {
    let host = LoopConfined(call.host, to: call.host.loop)
    let mailbox = call.host.loop.mailbox
    let answer = call.later()
    call.host.core.gatherMetrics { snapshot in
      mailbox.post { loop in answer(.success(ServerStatistics(snapshot, host: host.on(loop)))) }
    }
  }
}

extension ReadSource: SystemHandler {
  func run(_ call: SystemCall<ReadSource>) throws(RPCError) {
    let host = call.host
    var types: [ValueType] = []
    for text in self.types {
      do {
        types.append(try ValueType(parsing: text))
      } catch {
        throw RPCError(.invalidArguments, error.message)
      }
    }
    let procedure = try host.catalogue.find(
      service: service, procedure: procedure, arguments: types, returns: nil)
    guard
      call.connection.allows(service: procedure.service, in: host.catalogue)
        || host.core.deployers.contains(call.connection.caller)
    else { throw host.calls.notAllowed(procedure, call.connection) }
    guard case .source(let unit) = procedure.implementation else {
      throw RPCError(.failedPrecondition, "\(procedure.signature) is part of the program and has no source")
    }
    call.answer(String(decoding: unit.source, as: UTF8.self))
  }
}

extension ServerCatalogue {
  fileprivate init(_ catalogue: Catalogue, core: ServerCore) {
    self.init(
      server: core.serverName, version: core.agent, generation: catalogue.serial, digest: catalogue.digest,
      topologyDigest: catalogue.topologyDigest, startedMilliseconds: Int(core.startedMilliseconds))
    for (index, service) in catalogue.services.enumerated() where service.isServedHere {
      services.append(
        Service(
          name: service.name, tenants: service.tenants?.sorted().map(\.text), providers: service.providers,
          procedures: catalogue.allProcedures.filter { $0.service == index }.map(\.procedure)))
    }
    quarantined = core.quarantine.entries.map { Quarantined($0) }
  }
}

extension ServerCatalogue.Quarantined {
  fileprivate init(_ entry: Quarantine.Entry) {
    self.init(
      service: entry.signature.service, procedure: entry.signature.name,
      types: entry.signature.parameterTypes.map(\.description), sinceMilliseconds: entry.sinceMilliseconds,
      reason: entry.reason)
  }
}

extension ServerCatalogue {
  fileprivate mutating func hideValues() {
    for service in services.indices {
      for index in services[service].procedures.indices {
        let provision = services[service].procedures[index].confinement.provision
        guard !provision.environment.isEmpty else { continue }
        services[service].procedures[index].confinement.provision = provision.withoutValues
      }
    }
  }
}

extension ServerTopology {
  /// As far as the caller may use it; those who may deploy are told all of it.
  fileprivate init(_ catalogue: Catalogue, core: ServerCore, for caller: Caller) {
    let name = core.serverName
    self.init(server: name, generation: catalogue.serial, topologyDigest: catalogue.topologyDigest)
    // A server that was never deployed to knows no network, its own name included.
    guard let name else { return }
    let access = Access(catalogue: catalogue, identities: caller.identities(in: catalogue))
    let isDeployer = core.deployers.contains(caller)
    var told: Set = [UTF8Key(name)]
    for (index, service) in catalogue.services.enumerated() where isDeployer || access.allows(service: index)
    {
      guard !service.name.hasSameUTF8(as: SystemContract.service) else { continue }
      let isOwn = service.isServedHere && service.providers.isEmpty
      services.append(Service(name: service.name, providers: isOwn ? [name] : service.providers))
      told.formUnion(service.providers.map { UTF8Key($0) })
    }
    for server in core.topology.servers where isDeployer || told.contains(UTF8Key(server.name)) {
      authorities = authorities ?? server.authorities
      servers.append(
        Server(
          name: server.name, host: server.host, port: Int(server.port), key: server.key?.description,
          certificate: server.certificate?.description))
    }
  }
}

extension ServerStatistics {
  fileprivate init(_ snapshot: LoopSnapshot, host: ServerLoop) {
    let totals = snapshot.totals
    self.init()
    connections = totals.connections
    connectionsTotal = Int(totals.connectionsTotal)
    connectionsRefused = Int(totals.connectionsRefused)
    calls = Int(totals.calls)
    callsInFlight = totals.callsInFlight
    errors = Int(totals.errors)
    cancelled = Int(totals.cancelled)
    deadlineExceeded = Int(totals.deadlineExceeded)
    refused = Int(totals.refused)
    bytesIn = Int(totals.bytesIn)
    bytesOut = Int(totals.bytesOut)
    uptimeMilliseconds = Int((SystemClock.monotonicNanoseconds() &- host.core.started) / 1_000_000)
    loops = host.options.loops
    generation = host.catalogue.serial
    degraded = host.core.degraded
    isolation = snapshot.isolation
    let quarantined = Dictionary(
      host.core.quarantine.entries.map { ($0.signature, $0.reason) }, uniquingKeysWith: { first, _ in first })
    for procedure in host.catalogue.allProcedures {
      let id = Int(procedure.id)
      if case .system = procedure.implementation { continue }
      guard id < snapshot.procedures.count else { continue }
      let metrics = snapshot.procedures[id]
      procedures.append(
        PerProcedure(
          service: procedure.signature.service, procedure: procedure.signature.name,
          types: procedure.signature.parameterTypes.map(\.description), calls: Int(metrics.calls),
          errors: Int(metrics.errors), microseconds: Int(metrics.nanoseconds / 1000),
          quarantine: quarantined[procedure.signature]))
    }
  }
}
