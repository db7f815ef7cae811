import RPCProto
import RPCWire

enum ProtoTargets {
  /// What the messages hold that are read, chosen by the first byte.
  private static let types: [[ValueType]] = [
    [.int, .string, .bytes, .bool, .float, .none],
    [.list(.int), .list(.string), .list(.float), .list(.bool)],
    [.any, .list(.any), .dict(.any)],
    [.optional(.list(.int)), .optional(.string), .list(.optional(.dict(.bytes))), .dict(.list(.int))],
  ]

  private static let messages: [ProtoMessage] = types.map { types in
    ProtoMessage(
      name: "Fuzzed",
      fields: types.enumerated().map {
        ProtoField(name: "arg\($0.offset + 1)", number: UInt32($0.offset + 1), form: ProtoForm($0.element))
      })
  }

  /// A message that is read gives values of the declared types, and these come back when they are written and read.
  static func message(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let index = Int(first) % messages.count
    guard let values = read(messages[index], Array(bytes.dropFirst())) else { return }
    guard let list = try? Value.list(messagePack: values) else {
      throw BrokenPromise("no MessagePack: \(values)")
    }
    for (type, value) in zip(types[index], list) {
      try promise(type.accepts(value), "\(type) does not accept \(value)")
    }
    var written = ByteQueue()
    do {
      try messages[index].encode(values.span.bytes, to: &written)
    } catch {
      throw BrokenPromise("values that cannot be written: \(error)")
    }
    guard let again = read(messages[index], written.copy()) else {
      throw BrokenPromise("what was written cannot be read: \(written.copy())")
    }
    try promise(again == values, "changed on its way: \(values) to \(again)")
  }

  private static func read(_ message: ProtoMessage, _ bytes: [UInt8]) -> [UInt8]? {
    var output = ByteQueue()
    var scratch = ProtoMessage.Scratch()
    guard (try? message.decode(bytes.span.bytes, into: &output, &scratch)) != nil else { return nil }
    return output.copy()
  }
}
