import CLua
import RPCProcedures
import RPCWire
import Synchronization

/// Lua's readers and writers of values, and its sandbox: what of a procedure runs in C inside the server.
enum LuaTargets {
  /// A procedure that returns its argument returns it unchanged. The first line is the declared type, the rest
  /// the argument, which the server has checked against the type before Lua sees it.
  static func values(_ bytes: [UInt8]) throws(BrokenPromise) {
    let parts = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let type = try? ValueType(parsing: String(decoding: parts[0], as: UTF8.self))
    else {
      return
    }
    let argument = Array(parts[1])
    var checking = MessagePackReader(argument.span.bytes)
    guard (try? type.check(&checking)) != nil, checking.remaining == 0 else { return }
    guard let machine = LuaProbe(source: "function same(value) return value end") else {
      throw BrokenPromise("no machine")
    }
    defer { machine.close() }
    let (outcome, output) = machine.call("same", type, [0x91] + argument)
    try promise(
      machine.isSame(output, where: outcome, "same", type, [0x91] + argument),
      "\(type): a call that runs where it is read ends otherwise")
    // The same key twice is told by a decoder that remembers keys, which Lua's is not.
    guard let sent = try? Value(messagePack: argument) else { return }
    try promise(outcome == rpclua_done, "\(type) \(sent) ends with outcome \(outcome.rawValue)")
    guard let values = try? Value.list(messagePack: output), values.count == 1 else {
      throw BrokenPromise("what Lua returned for \(sent) is not a list of one value")
    }
    try promise(isSame(sent, values[0], type), "\(type) \(sent) came back as \(values[0])")
  }

  /// Tables have no order, `Any` does not tell a list without elements from a map without entries, and bytes
  /// that are text from text.
  private static func isSame(_ sent: Value, _ back: Value, _ type: ValueType) -> Bool {
    switch (type, sent, back) {
    case (.float, .int(let sent), .float(let back)): Double(sent) == back
    case (_, .float(let sent), .float(let back)): sent == back || sent.isNaN && back.isNaN
    case (.optional(let wrapped), _, _): sent == .null ? back == .null : isSame(sent, back, wrapped)
    case (.list(let element), .list(let sent), .list(let back)):
      sent.count == back.count && zip(sent, back).allSatisfy { isSame($0, $1, element) }
    case (.dict(let element), .map(let sent), .map(let back)):
      sent.count == back.count
        && sent.allSatisfy { entry in
          back.first { $0.key == entry.key }.map { isSame(entry.value, $0.value, element) } ?? false
        }
    case (.any, _, _), (.unknown, _, _): true
    default: sent == back
    }
  }

  /// Any source at all is refused, or runs until it ends or is ended; the machine is whole afterwards.
  static func source(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let machine = LuaProbe(source: bytes) else { return }
    machine.close()
  }
}

/// A machine with one source, run for a few slices.
private final class LuaProbe {
  private let machine: OpaquePointer
  private static let slicesMax = 5

  convenience init?(source: String) {
    self.init(source: Array(source.utf8))
  }

  /// Nil where the source is refused, or raises.
  init?(source: [UInt8]) {
    var limits = rpclua_limits()
    limits.call_bytes = 4 << 20
    limits.machine_bytes = 8 << 20
    limits.value_bytes = 1 << 20
    limits.output_bytes = 1 << 20
    limits.log_bytes = 4096
    limits.log_lines = 10
    limits.unpausable_milliseconds = 10
    limits.operation_milliseconds = 5000
    limits.overrun_milliseconds = 50
    guard let opened = rpclua_open(&limits, { _, _, _ in }) else { return nil }
    machine = opened
    let isCompiled = source.withUnsafeBytes { bytes in
      rpclua_compile(machine, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, "fuzz.lua")
    }
    guard isCompiled, let call = rpclua_begin_load(machine, nil), run(call) == rpclua_done else {
      rpclua_close(machine)
      return nil
    }
  }

  /// Not left to `deinit`: the calls of a machine must have ended before.
  func close() { rpclua_close(machine) }

  private func run(_ call: OpaquePointer) -> rpclua_outcome {
    defer { rpclua_end(call) }
    return resume(call)
  }

  private func resume(_ call: OpaquePointer) -> rpclua_outcome {
    var outcome = rpclua_paused
    for _ in 0..<Self.slicesMax where outcome == rpclua_paused || outcome == rpclua_calling {
      if outcome == rpclua_calling {
        var server: UnsafePointer<CChar>?
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        guard rpclua_request(call, &server, &bytes, &count) != nil else { return outcome }
        // Whatever it asks for, its own arguments are the answer.
        rpclua_answer(call, true, Array(UnsafeBufferPointer(start: bytes, count: count)), count)
      }
      outcome = rpclua_resume(call)
    }
    return outcome
  }

  func call(_ name: String, _ type: ValueType, _ arguments: [UInt8]) -> (rpclua_outcome, [UInt8]) {
    var parameters: Int32 = 0
    var line: Int32 = 0
    let function = rpclua_find(machine, name, &parameters, &line)
    let types = LuaTypes([type])
    let call = arguments.withUnsafeBufferPointer { bytes in
      rpclua_begin(
        machine, function, types.program, 1, types.program, 1, bytes.baseAddress, bytes.count, nil)
    }
    guard let call else { return (rpclua_out_of_memory, []) }
    defer {
      rpclua_end(call)
      withExtendedLifetime(types) {}
    }
    let outcome = resume(call)
    var count = 0
    guard outcome == rpclua_done, let output = rpclua_output(call, &count) else { return (outcome, []) }
    return (outcome, Array(UnsafeBufferPointer(start: output, count: count)))
  }

  /// Whether a call ends as it did, when it runs where it is read: with little room and with enough, checked here and
  /// there.
  func isSame(
    _ output: [UInt8], where outcome: rpclua_outcome, _ name: String, _ type: ValueType, _ arguments: [UInt8]
  ) -> Bool {
    var parameters: Int32 = 0
    var line: Int32 = 0
    let function = rpclua_find(machine, name, &parameters, &line)
    let types = LuaTypes([type])
    defer { withExtendedLifetime(types) {} }
    for room in [1, 16, output.count + 16] {
      for isChecked in [true, false] {
        var buffer = [UInt8](repeating: 0xaa, count: room + 1)
        var written = 0
        var left: OpaquePointer?
        var ended = rpclua_run(
          machine, function, types.program, 1, types.program, 1, isChecked, arguments, arguments.count,
          &buffer, room,
          &written, nil, &left)
        var found = Array(buffer[..<written])
        if let left {
          defer { rpclua_end(left) }
          if ended == rpclua_paused || ended == rpclua_calling { ended = resume(left) }
          var count = 0
          found =
            rpclua_output(left, &count).map { Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
        }
        guard buffer[room] == 0xaa else { return false }
        // Only scalars are checked there.
        if ended == rpclua_unread, !isChecked, type.hasParts { continue }
        guard ended == outcome, outcome != rpclua_done || found == output else { return false }
      }
    }
    return true
  }
}
