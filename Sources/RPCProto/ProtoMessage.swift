package import RPCWire

/// A field of the request or the answer of a method.
package struct ProtoField: Hashable, Sendable {
  package var name: String
  package var number: UInt32
  package var form: ProtoForm

  package init(name: String, number: UInt32, form: ProtoForm) {
    self.name = name
    self.number = number
    self.form = form
  }
}

/// The request or the answer of a method: reads one straight into the MessagePack list that procedures take, and writes
/// one from the list that they return. Values go through no other form.
package struct ProtoMessage: Hashable, Sendable {
  package let name: String
  /// In the order of the arguments or the return values.
  package let fields: [ProtoField]
  /// By field number where those are the positions, as they are without pins.
  private let isNumberedByPosition: Bool

  package init(name: String, fields: [ProtoField]) {
    self.name = name
    self.fields = fields
    isNumberedByPosition = fields.enumerated().allSatisfy { $0.element.number == $0.offset + 1 }
  }

  /// The position of the field with a number, nil for an unknown one.
  @inline(__always)
  func position(of number: UInt32) -> Int? {
    if isNumberedByPosition { return number <= fields.count ? Int(number) - 1 : nil }
    return fields.firstIndex { $0.number == number }
  }

  /// Memory for reading messages, to be used again.
  package struct Scratch {
    var slots: ContiguousArray<ProtoSlot> = []
    package init() {}
  }

  /// Reads a message and appends its values as a MessagePack list.
  package func decode(
    _ bytes: RawSpan, into output: inout ByteQueue, _ scratch: inout Scratch
  ) throws(ProtoError) {
    scratch.slots.removeAll(keepingCapacity: true)
    scratch.slots.append(contentsOf: repeatElement(ProtoSlot(), count: fields.count))
    var reader = ProtoReader(bytes)
    while !reader.isAtEnd {
      let tag = try reader.readTag()
      guard let position = position(of: tag.number) else {
        try reader.skip(tag)
        continue
      }
      try scratch.slots[position].take(tag, fields[position].form, &reader)
    }
    try Self.checkInterleaving(scratch.slots, bytes.byteCount)
    output.appendListHeader(count: fields.count)
    for position in fields.indices {
      try ProtoDecoder.value(
        of: scratch.slots[position], fields[position].number, fields[position].form, in: bytes, depth: 0,
        to: &output)
    }
  }

  /// Each list is read again from its first part to its last: parts of many lists that alternate would be read once for
  /// each of them.
  private static func checkInterleaving(
    _ slots: ContiguousArray<ProtoSlot>, _ byteCount: Int
  ) throws(ProtoError) {
    var total = 0
    for slot in slots where slot.parts > 1 { total += slot.end - slot.start }
    guard total <= ProtoLimits.interleavingMax * byteCount else {
      throw ProtoError(
        "the parts of more than \(ProtoLimits.interleavingMax) lists alternate in a message of \(byteCount) bytes"
      )
    }
  }

  /// Writes the values of a MessagePack list, whose types fit, as a message.
  package func encode(_ values: RawSpan, to output: inout ByteQueue) throws(ProtoError) {
    var reader = MessagePackReader(values)
    do throws(WireError) {
      let count = try reader.readListHeader()
      guard count == fields.count else {
        throw WireError.unexpectedType(expected: "\(fields.count) values", found: "\(count)")
      }
      for field in fields { try ProtoEncoder.field(field.number, field.form, &reader, depth: 0, to: &output) }
      try reader.finish()
    } catch {
      throw ProtoError(error.description)
    }
  }
}
