internal import RPCWire

/// The two files as text, for protoc.
extension ProtoFiles {
  /// Name and text of each file.
  package func texts() -> [(name: String, text: String)] {
    [(serviceFileName, serviceText), (typesFileName, typesText)]
  }

  private static let head =
    "// Made from the signatures in init.yaml by 'initializer proto'.\nsyntax = \"proto3\";\n"

  private var serviceText: String {
    var text = Self.head
    text += "\nimport \"\(typesFileName)\";\n"
    text += "\nservice \(service.name) {\n"
    for method in service.methods {
      for line in (method.documentation ?? "").split(separator: "\n", omittingEmptySubsequences: false)
      where method.documentation != nil {
        text += "  // \(Self.commented(line))".trimmedEnd + "\n"
      }
      text +=
        "  rpc \(method.name)(.\(typesPackage).\(method.request.name)) returns (.\(typesPackage).\(method.response.name))"
      text += method.isIdempotent ? " {\n    option idempotency_level = IDEMPOTENT;\n  }\n" : ";\n"
    }
    return text + "}\n"
  }

  /// A control character could end the comment.
  private static func commented(_ line: Substring) -> String {
    String(
      String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
  }

  private var typesText: String {
    var text = Self.head
    text += "\npackage \(typesPackage);\n"
    if needsStruct { text += "\nimport \"\(WellKnownProto.structFile)\";\n" }
    for message in messages { append(message.name, message.fields, to: &text) }
    for wrapper in wrappers {
      append(wrapper.name, [ProtoField(name: wrapper.fieldName, number: 1, form: wrapper.form)], to: &text)
    }
    return text
  }

  private func append(_ name: String, _ fields: [ProtoField], to text: inout String) {
    text += fields.isEmpty ? "\nmessage \(name) {}\n" : "\nmessage \(name) {\n"
    for field in fields {
      text += "  \(type(of: field.form)) \(field.name) = \(field.number) [json_name = \"\(field.name)\"];\n"
    }
    if !fields.isEmpty { text += "}\n" }
  }

  private func type(of form: ProtoForm) -> String {
    switch form {
    case .single(let element, let isOptional):
      (isOptional && !element.isMessage ? "optional " : "") + type(of: element)
    case .list(let element): "repeated " + type(of: element)
    case .map(let element): "map<string, \(type(of: element))>"
    }
  }

  private func type(of element: ProtoElement) -> String {
    switch element {
    case .int: "int64"
    case .float: "double"
    case .bool: "bool"
    case .string: "string"
    case .bytes: "bytes"
    case .null: ".google.protobuf.NullValue"
    case .any: ".google.protobuf.Value"
    case .wrapper(let wrapper): ".\(typesPackage).\(wrapper.name)"
    }
  }
}

extension String {
  fileprivate var trimmedEnd: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
