internal import CLua
internal import RPCWire

/// A source as this loop knows it, whatever machine runs it now.
internal final class LuaSource: LuaShelfItem {
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
  var state = State.unloaded {
    didSet {
      guard case .loaded(let machine) = state else {
        pointer = nil
        return
      }
      pointer = machine.pointer
      machineSerial = machine.serial
    }
  }
  // What each call looks at, and notes: plain values, each written in one step.
  /// The interpreter of the machine, where one is loaded.
  @exclusivity(unchecked) private(set) var pointer: OpaquePointer?
  @exclusivity(unchecked) private(set) var machineSerial = -1
  /// When it was called last, on the loop's clock.
  @exclusivity(unchecked) var lastUsed: UInt64 = 0
  /// Whether its machine was called at all, and not just loaded to see whether that can be done.
  @exclusivity(unchecked) var isUsed = false
  var waiters = RemovableQueue<LuaWaiter>()
  /// After a machine had to be given up calls are refused for a while, on the loop's clock.
  var refusedUntil: UInt64 = 0

  init(_ unit: SourceUnit) {
    key = Key(unit.procedure)
    self.unit = unit
  }

  var isBusy: Bool { if case .loaded(let machine) = state { machine.taskCount > 0 } else { false } }
}
