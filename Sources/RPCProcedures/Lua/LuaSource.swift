internal import CLua
internal import RPCWire

/// A source as this loop knows it, whatever machine runs it now.
internal final class LuaSource {
  /// Two procedures share a machine, and with it the globals of their source, when all of this is the same.
  struct Key: Hashable {
    let service: String
    let digest: String
    let sourceName: String
    let memoryBytes: Int?
    let provision: Provision

    init(_ procedure: Procedure) {
      service = procedure.signature.service
      digest = procedure.digest
      sourceName = procedure.sourceName
      memoryBytes = procedure.memoryBytes
      provision = procedure.confinement.provision
    }
  }

  enum State {
    case unloaded
    /// The top level runs; `waiters` wait for it.
    case loading
    case loaded(LuaMachine)
  }

  let key: Key
  let unit: SourceUnit
  var state = State.unloaded
  var waiters = RemovableQueue<LuaWaiter>()
  /// After a machine had to be given up calls are refused for a while, on the loop's clock.
  var refusedUntil: UInt64 = 0

  init(_ unit: SourceUnit) {
    key = Key(unit.procedure)
    self.unit = unit
  }
}

/// A procedure: the function of a source with its types.
internal final class LuaProcedure {
  let source: LuaSource
  let unit: SourceUnit
  let parameters: LuaTypes
  let returns: LuaTypes
  /// The machine that `reference` is of.
  private var machineSerial = -1
  private var reference: Int32 = -1

  init(_ unit: SourceUnit, source: LuaSource) {
    self.unit = unit
    self.source = source
    parameters = LuaTypes(unit.procedure.signature.parameterTypes)
    returns = LuaTypes(unit.procedure.signature.returns)
  }

  var procedure: Procedure { unit.procedure }

  /// The function in a machine, looked up once for each.
  func function(in machine: LuaMachine) throws(RPCError) -> Int32 {
    if machineSerial == machine.serial { return reference }
    var taken: Int32 = 0
    var line: Int32 = 0
    let found = rpclua_find(machine.pointer, procedure.function, &taken, &line)
    guard found >= 0 else {
      throw RPCError(
        .failedPrecondition, "\(procedure.sourceName) has no global function '\(procedure.function)'",
        source: procedure.sourceName)
    }
    // More parameters than arguments is common in Lua: those left out are nil. Fewer would lose some.
    guard taken < 0 || taken >= parameters.count else {
      throw RPCError(
        .failedPrecondition,
        "\(procedure.function) takes \(taken) of the \(parameters.count) arguments that are declared",
        source: "\(procedure.sourceName):\(line)")
    }
    machineSerial = machine.serial
    reference = found
    return found
  }
}
