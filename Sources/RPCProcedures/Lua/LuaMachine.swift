internal import CLua
internal import RPCWire

/// One interpreter with one source loaded. It lives as long as a call needs it: when it is replaced, its calls
/// finish on it.
internal final class LuaMachine {
  let pointer: OpaquePointer
  /// Tells it from every other machine of the loop, past and present.
  let serial: Int
  /// Bytes in use after the last whole collection.
  var bytesAfterCollection = 0
  var isCollecting = false
  private(set) var isDead = false
  /// Tasks that run on it.
  var taskCount = 0

  /// Without memory there is no machine: nil.
  init?(serial: Int, memoryBytes: Int, limits: RuntimeLimits) {
    var bounds = rpclua_limits()
    bounds.call_bytes = memoryBytes
    bounds.machine_bytes = memoryBytes * limits.luaMachineShares
    bounds.value_bytes = min(limits.luaValueBytes, memoryBytes)
    bounds.output_bytes = limits.outputBytes
    bounds.log_bytes = limits.logBytesPerCall
    bounds.log_lines = limits.logLinesPerCall
    // The longest that so many characters of UTF-8 can be.
    bounds.message_bytes = limits.messageCharacters * 4
    bounds.unpausable_milliseconds = UInt32(limits.luaUnpausableMilliseconds)
    bounds.operation_milliseconds = UInt32(limits.luaOperationMilliseconds)
    bounds.overrun_milliseconds = UInt32(limits.luaOverrunMilliseconds)
    let opened = rpclua_open(&bounds) { tag, bytes, count in
      guard let tag, let bytes else { return }
      let line = String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
      Unmanaged<LuaHost>.fromOpaque(tag).takeUnretainedValue().log(line)
    }
    guard let opened else { return nil }
    rpclua_answer_questions(opened) { tag, question, name, count in
      guard let tag else { return nil }
      let host = Unmanaged<LuaHost>.fromOpaque(tag).takeUnretainedValue()
      guard let told = host.tell(question, name.map { String(cString: $0) }) else { return nil }
      count?.pointee = told.count
      // An empty text has no place of its own.
      return told.baseAddress.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) } ?? rpclua_empty
    }
    pointer = opened
    self.serial = serial
  }

  deinit {
    // Every task holds its machine, so that no call is left.
    rpclua_close(pointer)
  }

  var bytes: Int { rpclua_bytes(pointer) }

  /// Compiles the source; returns what is wrong with it, else nil.
  func compile(_ unit: SourceUnit) -> RPCError? {
    let name = unit.procedure.sourceName
    let isCompiled = unit.source.withUnsafeBytes { source in
      rpclua_compile(
        pointer, source.baseAddress?.assumingMemoryBound(to: CChar.self), source.count, name)
    }
    if isCompiled { return nil }
    var message = String(cString: rpclua_machine_message(pointer))
    var place = name
    // `rpc1.lua:3: unexpected symbol near '}'`: the position is told apart from the message.
    if message.hasPrefix(name + ":") {
      let rest = message.dropFirst(name.count + 1)
      let line = rest.prefix { $0.isASCII && $0.isNumber }
      if !line.isEmpty, rest.dropFirst(line.count).hasPrefix(": ") {
        place = "\(name):\(line)"
        message = String(rest.dropFirst(line.count + 2))
      }
    }
    return RPCError(.failedPrecondition, message, source: place)
  }

  /// The interpreter was left in the middle of an operation.
  func markDead() {
    isDead = true
  }
}
