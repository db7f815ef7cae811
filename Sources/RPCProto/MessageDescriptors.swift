internal import SwiftProtobuf

/// Descriptors of messages, as protoc makes them.
struct MessageDescriptors {
  /// The package of the messages.
  let package: String

  func message(_ name: String, _ fields: [ProtoField]) -> Google_Protobuf_DescriptorProto {
    var message = Google_Protobuf_DescriptorProto()
    message.name = name
    var oneofNames = Set(fields.map(\.name))
    for field in fields {
      var descriptor = Google_Protobuf_FieldDescriptorProto()
      descriptor.name = field.name
      descriptor.number = Int32(field.number)
      // Left alone it would be `userId` for a declared `user_id`.
      descriptor.jsonName = field.name
      descriptor.label = .optional
      switch field.form {
      case .single(let element, let isOptional):
        setType(of: &descriptor, element)
        guard isOptional, !element.isMessage else { break }
        descriptor.proto3Optional = true
        descriptor.oneofIndex = Int32(message.oneofDecl.count)
        var oneof = Google_Protobuf_OneofDescriptorProto()
        oneof.name = Self.oneofName(of: field.name, &oneofNames)
        message.oneofDecl.append(oneof)
      case .list(let element):
        descriptor.label = .repeated
        setType(of: &descriptor, element)
      case .map(let element):
        let entry = self.entry(of: field.name, element)
        descriptor.label = .repeated
        descriptor.type = .message
        descriptor.typeName = ".\(package).\(name).\(entry.name)"
        message.nestedType.append(entry)
      }
      message.field.append(descriptor)
    }
    return message
  }

  /// The name of the oneof that stands for `optional`: protoc's rule.
  private static func oneofName(of field: String, _ taken: inout Set<String>) -> String {
    var name = field.hasPrefix("_") ? field : "_" + field
    while !taken.insert(name).inserted { name = "X" + name }
    return name
  }

  /// The message that a map is a list of.
  private func entry(of field: String, _ element: ProtoElement) -> Google_Protobuf_DescriptorProto {
    var entry = Google_Protobuf_DescriptorProto()
    entry.name = ProtoNames.camelCase(field) + "Entry"
    entry.options.mapEntry = true
    var key = Google_Protobuf_FieldDescriptorProto()
    key.name = "key"
    key.jsonName = "key"
    key.number = 1
    key.label = .optional
    key.type = .string
    var value = Google_Protobuf_FieldDescriptorProto()
    value.name = "value"
    value.jsonName = "value"
    value.number = 2
    value.label = .optional
    setType(of: &value, element)
    entry.field = [key, value]
    return entry
  }

  private func setType(of field: inout Google_Protobuf_FieldDescriptorProto, _ element: ProtoElement) {
    switch element {
    case .int: field.type = .int64
    case .float: field.type = .double
    case .bool: field.type = .bool
    case .string: field.type = .string
    case .bytes: field.type = .bytes
    case .null:
      field.type = .enum
      field.typeName = ".google.protobuf.NullValue"
    case .any:
      field.type = .message
      field.typeName = ".google.protobuf.Value"
    case .wrapper(let wrapper):
      field.type = .message
      field.typeName = ".\(package).\(wrapper.name)"
    }
  }
}
