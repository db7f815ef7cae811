internal import CLua
internal import RPCSystem
internal import RPCWire

/// What a running call logs through and asks: the interpreter knows it by its address.
internal class LuaHost {
  /// What all tasks of a runtime share.
  final class Context {
    let limits: RuntimeLimits
    let secrets: SecretStore
    let log: ProcedureOutput.Sink

    init(limits: RuntimeLimits, secrets: SecretStore, log: @escaping ProcedureOutput.Sink) {
      self.limits = limits
      self.secrets = secrets
      self.log = log
    }
  }

  let unit: SourceUnit
  let context: Context
  /// What was told last.
  private var told: UnsafeMutableRawBufferPointer?

  init(_ unit: SourceUnit, _ context: Context) {
    self.unit = unit
    self.context = context
  }

  deinit {
    told?.deallocate()
  }

  var procedure: Procedure { unit.procedure }

  /// When the call must have ended.
  var callDeadline: UInt64? { nil }

  /// Who makes the call, and what came with it.
  var callContext: CallContext { CallContext() }

  /// What a procedure asks of its call, as text for as long as nothing else is asked.
  ///
  /// - Parameter name: of an entry of the metadata, a secret or a variable.
  func tell(_ what: rpclua_question, _ name: String?) -> UnsafeRawBufferPointer? {
    told?.deallocate()
    told = nil
    guard let bytes = bytes(of: what, name) else { return nil }
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    copy.copyBytes(from: bytes)
    told = copy
    return UnsafeRawBufferPointer(copy)
  }

  private func bytes(of what: rpclua_question, _ name: String?) -> [UInt8]? {
    let text: String?
    switch what {
    case rpclua_asks_caller: text = callContext.caller
    case rpclua_asks_deadline:
      text = callDeadline.map { deadline in
        let now = SystemClock.monotonicNanoseconds()
        return "\(Double(deadline > now ? deadline - now : 0) / 1e9)"
      }
    case rpclua_asks_secret:
      let names = procedure.confinement.provision.secrets.filter { $0.hasSameUTF8(as: name ?? "") }
      return context.secrets.secrets(named: names).first.map(\.withoutLineBreak)
    case rpclua_asks_variable:
      text = procedure.confinement.provision.environment.first { $0.name.hasSameUTF8(as: name ?? "") }?.value
    default:
      let value = name.flatMap { callContext.metadata[$0] }
      text = value.map { $0.stringValue ?? $0.json }
    }
    return text.map { Array($0.utf8) }
  }

  func log(_ line: String) {
    context.log(ProcedureOutput(procedure: procedure, stream: .log, text: line))
  }
}

/// The host of a call that runs where it was read: its caller and deadline are asked of the `RunningCall` of the thread.
internal final class LuaSpotHost: LuaHost {
  override var callDeadline: UInt64? { callContext.deadlineNanoseconds }
  override var callContext: CallContext { RunningCallOffer.context ?? CallContext() }
}
