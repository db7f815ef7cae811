package import RPCWire

/// Declared types as the machine's converters read them: a letter for each, wrapping types in front of what
/// they wrap. Owns its memory, which must outlive every call that uses it.
package final class LuaTypes {
  package let program: UnsafePointer<CChar>
  package let count: Int32

  package init(_ types: [ValueType]) {
    var text: [CChar] = []
    for type in types { Self.append(type, to: &text) }
    let memory = UnsafeMutablePointer<CChar>.allocate(capacity: text.count + 1)
    memory.update(from: text, count: text.count)
    memory[text.count] = 0
    program = UnsafePointer(memory)
    count = Int32(types.count)
  }

  deinit {
    program.deallocate()
  }

  private static func append(_ type: ValueType, to text: inout [CChar]) {
    func letter(_ scalar: Unicode.Scalar) { text.append(CChar(truncatingIfNeeded: scalar.value)) }
    switch type {
    case .int: letter("i")
    case .float: letter("f")
    case .string: letter("s")
    case .bytes: letter("y")
    case .bool: letter("b")
    case .none: letter("n")
    case .any, .unknown: letter("a")
    case .list(let element):
      letter("L")
      append(element, to: &text)
    case .dict(let element):
      letter("D")
      append(element, to: &text)
    case .optional(let wrapped):
      letter("O")
      append(wrapped, to: &text)
    }
  }
}
