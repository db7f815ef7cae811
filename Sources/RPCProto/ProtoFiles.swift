internal import RPCWire
internal import SwiftProtobuf

/// The two .proto files of a service: one with the service, one with its messages.
package struct ProtoFiles {
  let service: ProtoService

  package init(of service: ProtoService) { self.service = service }

  package var serviceFileName: String { "\(service.name).proto" }
  package var typesFileName: String { "\(typesPackage).proto" }
  var typesPackage: String { ProtoNames.package(of: service.name) }

  /// Each message once, in the order of the methods; then the wrappers that they use, by name.
  var messages: [ProtoMessage] {
    var seen: Set<String> = []
    return service.methods.flatMap { [$0.request, $0.response] }.filter { seen.insert($0.name).inserted }
  }

  var wrappers: [ProtoWrapper] {
    var found: [String: ProtoWrapper] = [:]
    func visit(_ form: ProtoForm) {
      switch form {
      case .single(let element, _), .list(let element), .map(let element):
        guard case .wrapper(let wrapper) = element, found.updateValue(wrapper, forKey: wrapper.name) == nil
        else {
          return
        }
        visit(wrapper.form)
      }
    }
    for message in messages { for field in message.fields { visit(field.form) } }
    return found.values.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// Whether a message uses `google/protobuf/struct.proto`.
  var needsStruct: Bool {
    func needs(_ form: ProtoForm) -> Bool {
      switch form {
      case .single(let element, _), .list(let element), .map(let element):
        switch element {
        case .any, .null: true
        case .wrapper(let wrapper): needs(wrapper.form)
        default: false
        }
      }
    }
    return messages.contains { $0.fields.contains { needs($0.form) } }
  }

  /// The descriptors, serialised: what reflection answers, and what protoc makes of the texts.
  package func descriptors() -> [ProtoFile] {
    [
      ProtoFile(
        name: serviceFileName, dependencies: [typesFileName], descriptor: Self.bytes(serviceDescriptor)),
      ProtoFile(
        name: typesFileName, dependencies: needsStruct ? [WellKnownProto.structFile] : [],
        descriptor: Self.bytes(typesDescriptor)),
    ]
  }

  private static func bytes(_ descriptor: Google_Protobuf_FileDescriptorProto) -> [UInt8] {
    // Nothing in it is required, and its size is bounded by that of the signatures.
    guard let bytes: [UInt8] = try? descriptor.serializedBytes() else {
      preconditionFailure("a descriptor can be serialised")
    }
    return bytes
  }

  private var serviceDescriptor: Google_Protobuf_FileDescriptorProto {
    var file = Google_Protobuf_FileDescriptorProto()
    file.name = serviceFileName
    file.dependency = [typesFileName]
    file.syntax = "proto3"
    var descriptor = Google_Protobuf_ServiceDescriptorProto()
    descriptor.name = service.name
    descriptor.method = service.methods.map { method in
      var descriptor = Google_Protobuf_MethodDescriptorProto()
      descriptor.name = method.name
      descriptor.inputType = ".\(typesPackage).\(method.request.name)"
      descriptor.outputType = ".\(typesPackage).\(method.response.name)"
      if method.isIdempotent { descriptor.options.idempotencyLevel = .idempotent }
      return descriptor
    }
    file.service = [descriptor]
    return file
  }

  private var typesDescriptor: Google_Protobuf_FileDescriptorProto {
    var file = Google_Protobuf_FileDescriptorProto()
    file.name = typesFileName
    file.package = typesPackage
    if needsStruct { file.dependency = [WellKnownProto.structFile] }
    file.syntax = "proto3"
    let builder = MessageDescriptors(package: typesPackage)
    file.messageType =
      messages.map { builder.message($0.name, $0.fields) }
      + wrappers.map {
        builder.message($0.name, [ProtoField(name: $0.fieldName, number: 1, form: $0.form)])
      }
    return file
  }
}

/// A file as reflection tells it.
package struct ProtoFile: Sendable {
  package var name: String
  package var dependencies: [String]
  /// A serialised `google.protobuf.FileDescriptorProto`.
  package var descriptor: [UInt8]

  /// What reflection answers with files.
  package static func response(_ files: [ProtoFile]) -> Grpc_Reflection_V1_FileDescriptorResponse {
    // By way of its bytes: SwiftProtobuf's own type for them is Foundation's.
    var bytes = ByteQueue()
    for file in files { bytes.append(field: 1, file.descriptor.span.bytes) }
    guard let response = try? Grpc_Reflection_V1_FileDescriptorResponse(serializedBytes: bytes.copy()) else {
      preconditionFailure("it was just written")
    }
    return response
  }

  /// Whether a service, a method, a message, an enumeration or a field of this full name is in it.
  package func declares(_ symbol: String) -> Bool {
    guard let file = try? Google_Protobuf_FileDescriptorProto(serializedBytes: descriptor) else {
      return false
    }
    func full(_ scope: String, _ name: String) -> String { scope.isEmpty ? name : "\(scope).\(name)" }
    func isIn(_ messages: [Google_Protobuf_DescriptorProto], _ scope: String) -> Bool {
      messages.contains { message in
        let name = full(scope, message.name)
        guard symbol.hasPrefix(name) else { return false }
        return symbol == name || isIn(message.nestedType, name)
          || message.enumType.contains { full(name, $0.name) == symbol }
          || message.field.contains { full(name, $0.name) == symbol }
      }
    }
    return isIn(file.messageType, file.package)
      || file.enumType.contains { full(file.package, $0.name) == symbol }
      || file.service.contains { service in
        let name = full(file.package, service.name)
        return symbol == name || service.method.contains { full(name, $0.name) == symbol }
      }
  }
}
