internal import CLua
internal import RPCTransport
internal import RPCWire

/// Sources are loaded when they are prepared, or called first.
extension LuaRuntime {
  /// Serves it at once where its source is loaded, and otherwise as soon as that is.
  func serveWhenLoaded(_ waiter: LuaWaiter) {
    let source = waiter.procedure.source
    var load: LuaTask?
    switch source.state {
    case .loaded(let machine): return serve(waiter, .success(machine))
    case .loading: break
    case .unloaded:
      do throws(RPCError) {
        load = try beginLoading(source)
      } catch {
        return serve(waiter, .failure(error))
      }
    }
    let ticket = source.waiters.append(waiter)
    if case .call(_, let invocation) = waiter {
      callsWaiting += 1
      invocation.state = LuaWaiter.Place(source, ticket)
    }
    if let load { run(load) }
  }

  func serve(_ waiter: LuaWaiter, _ result: Result<LuaMachine, RPCError>) {
    switch (waiter, result) {
    case (.call(let procedure, let invocation), .success(let machine)):
      start(invocation, procedure, on: machine)
    case (.call(_, let invocation), .failure(var error)):
      // What has run is the top level of its source at most.
      error.executed = .no
      invocation.finish(.failure(error))
    case (.preparation(let procedure, let completion), .success(let machine)):
      do throws(RPCError) {
        _ = try procedure.function(in: machine)
        completion(.success(()))
      } catch {
        completion(.failure(error))
      }
    case (.preparation(_, let completion), .failure(let error)):
      completion(.failure(error))
    }
  }

  func endLoading(_ source: LuaSource, _ result: Result<LuaMachine, RPCError>) {
    loadsInFlight -= 1
    if case .success(let machine) = result {
      source.state = .loaded(machine)
      source.lastUsed = loop.now
      source.isUsed = false
      interpreters += 1
      // Of a long source the interpreter is kept: compiling is not sliced.
      if source.unit.source.count <= limits.luaIdleSourceBytes {
        shelf.add(source)
        armShelf()
      }
    } else {
      source.state = .unloaded
    }
    // The calls served below use it, and so do others of the same source that are loaded next.
    defer { for source in shelf.trim(but: source) { giveBack(source) } }
    for waiter in source.waiters.removeAll() {
      if case .call(_, let invocation) = waiter {
        callsWaiting -= 1
        // One that was served before it may have ended it.
        guard !invocation.isFinished else { continue }
        invocation.state = nil
      }
      serve(waiter, result)
    }
  }

  /// Makes a machine for a source and the task that runs its top level there.
  func beginLoading(_ source: LuaSource) throws(RPCError) -> LuaTask {
    let unit = source.unit
    if source.refusedUntil > loop.now {
      throw RPCError(
        .unavailable, "the procedure is refused for a while after it brought its interpreter to a halt",
        retryAfterMilliseconds: Int((source.refusedUntil - loop.now) / 1_000_000) + 1)
    }
    guard unit.source.count <= limits.luaSourceBytes else {
      throw RPCError(
        .failedPrecondition,
        "the source has \(unit.source.count) bytes, the limit is \(limits.luaSourceBytes)",
        actual: unit.source.count, limit: limits.luaSourceBytes, unit: .bytes,
        source: unit.procedure.sourceName)
    }
    guard
      let machine = LuaMachine(
        serial: machinesMade + 1, memoryBytes: unit.procedure.memoryBytes ?? limits.luaMemoryBytes,
        limits: limits)
    else {
      throw RPCError(.resourceExhausted, "no memory for a Lua interpreter")
    }
    machinesMade += 1
    if let error = machine.compile(unit) { throw error }
    source.state = .loading
    loadsInFlight += 1
    let task = LuaTask(
      loading: unit, on: machine,
      deadline: loop.now &+ UInt64(limits.loadMilliseconds) &* 1_000_000, context: context
    ) { [weak self] result in
      self?.endLoading(source, result.map { machine })
    }
    keep(task)
    return task
  }
}
