internal import CLua
internal import RPCTransport
internal import RPCWire

/// A procedure: the function of a source with its types.
internal final class LuaProcedure: SpotProcedure {
  let source: LuaSource
  let unit: SourceUnit
  let parameters: LuaTypes
  let returns: LuaTypes
  /// Its function was there, with parameters enough: nothing can change that, so that it is prepared.
  private(set) var isVerified = false
  /// The machine that `reference` is of.
  @exclusivity(unchecked) private var machineSerial = -1
  @exclusivity(unchecked) private var reference: Int32 = -1
  /// What its calls log through and ask, once one has run where it was read: as the interpreter knows it.
  @exclusivity(unchecked) private var host: UnsafeMutableRawPointer?
  private unowned(unsafe) let runtime: LuaRuntime
  /// `source`, not counted.
  private unowned(unsafe) let hotSource: LuaSource
  /// What is to be checked before it is read: nothing where all are scalars, which C checks.
  private let checkedTypes: [ValueType]
  /// Bytes that the values of the next call may take where they are written: more than the last one needed.
  @exclusivity(unchecked) private var outputCapacity = LuaProcedure.outputCapacityMin

  private static let outputCapacityMin = 128
  private static let outputCapacityMax = 64 * 1024

  init(_ unit: SourceUnit, source: LuaSource, runtime: LuaRuntime) {
    self.unit = unit
    self.source = source
    hotSource = source
    self.runtime = runtime
    let signature = unit.procedure.signature
    parameters = LuaTypes(signature.parameterTypes)
    returns = LuaTypes(signature.returns)
    let types = signature.parameterTypes
    checkedTypes = types.contains(where: \.hasParts) ? types : []
  }

  deinit {
    if let host { Unmanaged<LuaHost>.fromOpaque(host).release() }
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
    isVerified = true
    return found
  }

  // MARK: Where a call is read

  func run(_ arguments: RawSpan, into output: inout ByteQueue) -> SpotEnd {
    let source = hotSource
    guard let pointer = source.pointer, source.machineSerial == machineSerial, runtime.runsOnTheSpot else {
      return .notRun
    }
    guard checkedTypes.isEmpty || checks(arguments) else { return .notRun }
    let host = host ?? makeHost()
    var call: OpaquePointer?
    var outcome = rpclua_unread
    output.fill(upTo: outputCapacity) { buffer in
      arguments.withUnsafeBytes { arguments in
        var written = 0
        outcome = rpclua_run(
          pointer, reference, parameters.program, parameters.count, returns.program, returns.count,
          !checkedTypes.isEmpty,
          arguments.baseAddress?.assumingMemoryBound(to: UInt8.self), arguments.count,
          buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), buffer.count, &written,
          host, &call)
        return written
      }
    }
    source.lastUsed = runtime.loop.now
    source.isUsed = true
    guard let call else {
      runtime.noteGarbage(of: source, pointer)
      return outcome == rpclua_done ? .done : .notRun
    }
    guard outcome == rpclua_done else { return .left(LuaRest(call, outcome, self)) }
    var count = 0
    if let bytes = rpclua_output(call, &count) {
      output.append(RawSpan(_unsafeStart: UnsafeRawPointer(bytes), byteCount: count))
    }
    outputCapacity = min(max(outputCapacity, count + count / 4), Self.outputCapacityMax)
    rpclua_end(call)
    runtime.noteGarbage(of: source, pointer)
    return .done
  }

  private func makeHost() -> UnsafeMutableRawPointer {
    let made = Unmanaged.passRetained(LuaSpotHost(unit, runtime.context) as LuaHost).toOpaque()
    host = made
    return made
  }

  /// Lists and maps are checked before they are read, as the arguments of other calls are.
  private func checks(_ arguments: RawSpan) -> Bool {
    var reader = MessagePackReader(arguments)
    do throws(WireError) {
      guard try reader.readListHeader() == checkedTypes.count else { return false }
      for type in checkedTypes { try type.check(&reader) }
      try reader.finish()
      return true
    } catch {
      return false
    }
  }

  /// What is left of a call that did not end where it was read.
  private final class LuaRest: SpotRest {
    private let call: OpaquePointer
    private let outcome: rpclua_outcome
    private let procedure: LuaProcedure

    init(_ call: OpaquePointer, _ outcome: rpclua_outcome, _ procedure: LuaProcedure) {
      self.call = call
      self.outcome = outcome
      self.procedure = procedure
    }

    func goOn(as invocation: Invocation) {
      procedure.runtime.goOn(call, outcome, procedure, as: invocation)
    }
  }
}
