package import RPCProcedures
internal import RPCWire

/// The messages of a procedure: its arguments and its return values.
package enum ProtoSignature {
  /// - Parameter base: the messages are `<base>Request` and `<base>Response`.
  package static func messages(
    of procedure: Procedure, named base: String
  ) -> (request: ProtoMessage, response: ProtoMessage) {
    let signature = procedure.signature
    let names = argumentNames(of: signature)
    let arguments = numbers(procedure.grpc.argumentFields, count: names.count)
    let request = ProtoMessage(
      name: base + "Request",
      fields: signature.parameters.indices.map { index in
        ProtoField(
          name: names[index], number: arguments[index], form: ProtoForm(signature.parameters[index].type))
      })
    let returned = numbers(procedure.grpc.returnFields, count: signature.returns.count)
    let response = ProtoMessage(
      name: base + "Response",
      fields: signature.returns.indices.map { index in
        ProtoField(
          name: signature.returns.count == 1 ? "result" : "result\(index + 1)", number: returned[index],
          form: ProtoForm(signature.returns[index]))
      })
    return (request, response)
  }

  /// The declared names, and `arg1`… where there is none.
  package static func argumentNames(of signature: Signature) -> [String] {
    signature.parameters.enumerated().map { $0.element.name ?? "arg\($0.offset + 1)" }
  }

  /// The number of each field: the one that is pinned, else its position.
  private static func numbers(_ pins: [Int], count: Int) -> [UInt32] {
    (0..<count).map { index in
      UInt32(clamping: index < pins.count && pins[index] > 0 ? pins[index] : index + 1)
    }
  }

  /// What protobuf refuses in a message, or nil.
  package static func problem(with message: ProtoMessage) -> String? {
    var names: [String: String] = [:]
    var numbers: [UInt32: String] = [:]
    for field in message.fields {
      let key = ProtoNames.fieldKey(field.name)
      if let other = names[key] {
        return "the names '\(other)' and '\(field.name)' are the same in some of its languages"
      }
      names[key] = field.name
      if let problem = problem(withNumber: Int(field.number)) {
        return "the field number of '\(field.name)' \(problem)"
      }
      if let other = numbers[field.number] {
        return "'\(other)' and '\(field.name)' have the same field number, \(field.number)"
      }
      numbers[field.number] = field.name
    }
    return nil
  }

  /// What is wrong with a field number, or nil.
  package static func problem(withNumber number: Int) -> String? {
    if number < 1 || number > ProtoLimits.fieldNumberMax {
      return "must be from 1 to \(ProtoLimits.fieldNumberMax), not \(number)"
    }
    if (19_000...19_999).contains(number) {
      return "must not be from 19000 to 19999, which protobuf keeps for itself; it is \(number)"
    }
    return nil
  }
}
