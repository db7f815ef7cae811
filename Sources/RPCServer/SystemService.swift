internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Runs one call of the service `system` for one connection.
internal struct SystemService {
  let host: ServerLoop
  let connection: ServerConnection

  func run(_ call: ServerCall, index: Int, arguments: [UInt8]) {
    let loop = host.loop
    let values: [Value]
    do {
      values = try Value(messagePack: arguments).listValue ?? []
    } catch {
      return call.conclude(.failure(RPCError(.invalidArguments, error.description)), on: loop)
    }
    guard let procedure = SystemProcedure(rawValue: index) else {
      preconditionFailure("the catalogue binds only system procedures that exist")
    }
    switch procedure {
    case .ping: succeed(call, ["pong"])
    case .catalogue: succeed(call, [CatalogueDescription.describe(host.catalogue, core: host.core)])
    case .stats: stats(call)
    case .source: source(call, values)
    default: deploy(call, procedure, values)
    }
  }

  private func succeed(_ call: ServerCall, _ values: [Value]) {
    call.conclude(.success(Value.list(values).messagePack), on: host.loop)
  }

  // MARK: stats

  private func stats(_ call: ServerCall) {
    let confined = LoopConfined((call: call, host: host), to: host.loop)
    let mailbox = host.loop.mailbox
    host.core.gatherMetrics { snapshot in
      mailbox.post { loop in
        let (call, host) = confined.on(loop)
        call.conclude(
          .success(Value.list([StatsDescription.describe(snapshot, host: host)]).messagePack), on: loop)
      }
    }
  }

  // MARK: source

  private func source(_ call: ServerCall, _ values: [Value]) {
    do throws(RPCError) {
      guard values.count == 3, let service = values[0].stringValue, let name = values[1].stringValue,
        let spelled = values[2].listValue
      else { throw RPCError(.invalidArguments, "source takes service, procedure and types") }
      var types: [ValueType] = []
      for text in spelled {
        do {
          types.append(try ValueType(parsing: text.stringValue ?? ""))
        } catch {
          throw RPCError(.invalidArguments, error.message)
        }
      }
      let procedure = try host.catalogue.find(
        service: service, procedure: name, arguments: types, returns: nil)
      guard
        connection.allows(service: procedure.service, in: host.catalogue)
          || host.core.deployers.contains(connection.caller)
      else { throw host.calls.notAllowed(procedure, connection) }
      guard case .source(let unit) = procedure.implementation else {
        throw RPCError(.failedPrecondition, "\(procedure.signature) is part of the program and has no source")
      }
      succeed(call, [.string(String(decoding: unit.source, as: UTF8.self))])
    } catch {
      call.conclude(.failure(error), on: host.loop)
    }
  }

  // MARK: deployment

  private func deploy(_ call: ServerCall, _ procedure: SystemProcedure, _ values: [Value]) {
    let caller = connection.caller
    do throws(RPCError) {
      try host.core.deployers.check(caller)
    } catch {
      return call.conclude(.failure(error), on: host.loop)
    }
    var values = values
    if let position = procedure.deployerPosition, let key = caller.key,
      let who = values[position].stringValue
    {
      // What a deployer has proven goes before what it says of itself, which may be cut.
      values[position] = .string("\(key.fingerprint) \(who)")
    }
    guard let service = host.core.deployments else {
      return call.conclude(
        .failure(
          RPCError(.failedPrecondition, "this server keeps no deployments (it has no data directory)")),
        on: host.loop)
    }
    let confined = LoopConfined(call, to: host.loop)
    let mailbox = host.loop.mailbox
    connection.hasDeployed = true
    service.handle(procedure, values, connection: ObjectIdentifier(connection)) { result in
      mailbox.post { loop in
        confined.on(loop).conclude(result.map { Value.list($0).messagePack }, on: loop)
      }
    }
  }
}
