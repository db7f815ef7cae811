internal import RPCWire

/// A procedure as the workers know it: by a number, once they have been told the rest.
internal final class WorkerUnit {
  /// What makes two source units the same procedure to a worker, whatever generation they are of.
  struct Key: Hashable {
    let signature: Signature
    let digest: String
    let function: String
    let sourceName: String
    let memoryBytes: Int?
    let confinement: Confinement

    init(_ procedure: Procedure) {
      signature = procedure.signature
      digest = procedure.digest
      function = procedure.function
      sourceName = procedure.sourceName
      memoryBytes = procedure.memoryBytes
      confinement = procedure.confinement
    }
  }

  let id: UInt32
  let key: Key
  /// The latest source unit of this procedure.
  var unit: SourceUnit
  /// Whether its service declares nothing about its processes.
  let isPlain: Bool

  init(id: UInt32, unit: SourceUnit) {
    self.id = id
    self.unit = unit
    key = Key(unit.procedure)
    isPlain = key.confinement == .standard
  }

  var procedure: Procedure { unit.procedure }

  /// Appends the LOAD frame; the source travels only to a worker that lacks it.
  func appendLoad(to queue: inout ByteQueue, callID: UInt64, withSource: Bool, answered: Bool) {
    let mark = WorkerDialect.begin(.load, flags: answered ? 1 : 0, callID: callID, in: &queue)
    queue.appendListHeader(count: 9)
    queue.appendInt(Int64(id))
    queue.appendString(procedure.digest)
    queue.appendString(procedure.sourceName)
    queue.appendString(procedure.function)
    queue.appendString(procedure.signature.name)
    queue.appendListHeader(count: procedure.signature.parameters.count)
    for parameter in procedure.signature.parameters { queue.appendString(parameter.type.description) }
    queue.appendListHeader(count: procedure.signature.returns.count)
    for type in procedure.signature.returns { queue.appendString(type.description) }
    if withSource { queue.appendBinary(unit.source) } else { queue.appendNil() }
    if let bytes = procedure.memoryBytes { queue.appendInt(Int64(bytes)) } else { queue.appendNil() }
    queue.endFrame(mark)
  }
}

/// The frame kinds that only a worker and its server use, beside CALL, REPLY and ERROR of the network.
/// `protocol.py` has the whole dialect.
internal enum WorkerDialect: UInt8 {
  case load = 64
  case forget = 65
  case log = 66
  case ask = 67
  case answer = 68
  case provide = 69

  /// The flag of a LOG whose call was answered before: its call id is the number of the procedure.
  static let late: UInt8 = 1

  static func begin(
    _ kind: WorkerDialect, flags: UInt8 = 0, callID: UInt64, in queue: inout ByteQueue
  ) -> Int {
    let mark = queue.count
    queue.append(littleEndian: UInt64(kind.rawValue) << 32 | UInt64(flags) << 40)
    queue.append(littleEndian: callID)
    return mark
  }
}

extension Invocation {
  /// Appends what a worker is told of a call behind its arguments: nothing where nothing is known.
  func appendContext(to queue: inout ByteQueue) {
    let metadata = context.metadata
    guard context.caller != nil || deadline != nil || !metadata.isEmpty else { return }
    queue.appendListHeader(count: 3)
    if let caller = context.caller { queue.appendString(caller) } else { queue.appendNil() }
    if let deadline { queue.appendInt(Int64(clamping: deadline)) } else { queue.appendNil() }
    Value.map(metadata.map { Value.Entry($0.key, $0.value) }).encode(to: &queue)
  }
}
