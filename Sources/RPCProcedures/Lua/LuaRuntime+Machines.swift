internal import CLua
package import RPCTransport
internal import RPCWire

/// Interpreters come and go: with sources that are called, with broken ones, and with time.
extension LuaRuntime: TimerTarget {
  /// Lets go of a source's interpreter: the next call makes another. Calls in progress keep it until they end.
  func giveBack(_ source: LuaSource) {
    guard case .loaded(let machine) = source.state else { return }
    source.state = .unloaded
    interpreters -= 1
    shelf.remove(source)
    if machine.isCollecting { machinesToCollect.removeAll { $0 === machine } }
  }

  func armShelf() {
    guard shelfTimer == nil, !isShutDown else { return }
    shelfTimer = loop.schedule(after: shelfNanoseconds / 4, self)
  }

  private var shelfNanoseconds: UInt64 { UInt64(limits.luaIdleMilliseconds) &* 1_000_000 }

  package func timerFired(tag: UInt64, on loop: EventLoop) {
    shelfTimer = nil
    let now = loop.now
    for source in shelf.takeUnused(since: now > shelfNanoseconds ? now - shelfNanoseconds : 0) {
      giveBack(source)
    }
    if !shelf.sources.isEmpty { armShelf() }
  }

  /// The next call gets a new machine.
  func replace(_ machine: LuaMachine) {
    if let source = source(on: machine) { giveBack(source) }
  }

  /// What has this machine now. Rarely asked: a reference back would cost every call.
  private func source(on machine: LuaMachine) -> LuaSource? {
    func isIts(_ source: LuaSource) -> Bool { source.pointer == machine.pointer }
    return shelf.sources.first(where: isIts) ?? sources.values.first(where: isIts)
  }

  /// The interpreter was stopped in the middle of an operation: nothing that runs on it can go on.
  func stopInterpreter(of task: LuaTask) {
    let machine = task.machine
    machine.markDead()
    if let source = source(on: machine) {
      source.refusedUntil = loop.now &+ UInt64(limits.luaRefusalMilliseconds) &* 1_000_000
      giveBack(source)
    }
    end(task, task.result(of: rpclua_ejected))
    let lost = RPCError(
      .executionException, "another call of the procedure brought its interpreter to a halt", executed: .maybe
    )
    for other in tasks { if let other, other.machine === machine { end(other, .failure(lost)) } }
  }

  /// As below, for calls that end where they were read.
  @inline(__always)
  func noteGarbage(of source: LuaSource, _ pointer: OpaquePointer) {
    guard rpclua_bytes(pointer) > limits.luaIdleGarbageBytes, case .loaded(let machine) = source.state else {
      return
    }
    noteGarbage(of: machine)
  }

  /// Garbage is collected while a procedure runs; what the last call left is collected here, bit by bit.
  func noteGarbage(of machine: LuaMachine) {
    guard !machine.isDead, !machine.isCollecting,
      machine.bytes > machine.bytesAfterCollection + limits.luaIdleGarbageBytes
    else { return }
    machine.isCollecting = true
    machinesToCollect.append(machine)
    schedule()
  }

  func collectGarbage() {
    guard let machine = machinesToCollect.last else { return }
    if machine.isDead || rpclua_collect(machine.pointer) {
      machinesToCollect.removeLast()
      machine.isCollecting = false
      machine.bytesAfterCollection = machine.isDead ? 0 : machine.bytes
    }
    if !machinesToCollect.isEmpty { schedule() }
  }
}
