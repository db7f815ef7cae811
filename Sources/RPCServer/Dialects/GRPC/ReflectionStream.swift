internal import RPCProto
internal import RPCWire
internal import SwiftProtobuf

/// Server reflection: which services there are, and what their messages look like. A stream tells of the generation in
/// which it began, whatever is deployed meanwhile.
internal final class ReflectionStream: BuiltinStream {
  private typealias Request = Grpc_Reflection_V1_ServerReflectionRequest
  private typealias Response = Grpc_Reflection_V1_ServerReflectionResponse

  private unowned let stream: GRPCStream
  private unowned let dialect: GRPCDialect
  private let schema: ReflectionSchema

  init(_ stream: GRPCStream, _ dialect: GRPCDialect) {
    self.stream = stream
    self.dialect = dialect
    schema = ReflectionSchema(dialect.host.grpcMethods)
  }

  func received() {
    while stream.status == nil, let message = dialect.nextMessage(of: stream) {
      guard let request = try? Request(serializedBytes: message) else {
        return dialect.end(stream, GRPCStatus(.invalidArgument, "not a ServerReflectionRequest"))
      }
      guard stream.reply.count <= GRPCLimits.streamReplyBytesMax else {
        return dialect.end(
          stream,
          GRPCStatus(
            RPCError(
              .resourceExhausted, "too many answers of reflection wait to be read",
              actual: stream.reply.count,
              limit: GRPCLimits.streamReplyBytesMax, unit: .bytes)))
      }
      dialect.send(answer(request), on: stream)
    }
  }

  func requestHasEnded() {
    dialect.end(
      stream,
      stream.body.isEmpty ? .ok : GRPCStatus(.internal, "the request ends inside its message"))
  }

  func serverDrains() {
    dialect.end(stream, GRPCStatus(.unavailable, "the server is shutting down"))
  }

  private func answer(_ request: Request) -> Response {
    var response = Response()
    response.validHost = request.host
    response.originalRequest = request
    switch request.messageRequest {
    case .listServices:
      response.listServicesResponse.service = schema.serviceNames.map { name in
        var service = Grpc_Reflection_V1_ServiceResponse()
        service.name = name
        return service
      }
    case .fileByFilename(let name):
      fill(&response, schema.files(named: name), "no file '\(name.prefix(256))'")
    case .fileContainingSymbol(let symbol):
      fill(&response, schema.files(containing: symbol), "no symbol '\(symbol.prefix(256))'")
    case .fileContainingExtension(let wanted):
      fill(&response, nil, "no extension of '\(wanted.containingType.prefix(256))'")
    case .allExtensionNumbersOfType(let type):
      if schema.files(containing: type) != nil {
        response.allExtensionNumbersResponse.baseTypeName = type
      } else {
        fill(&response, nil, "no type '\(type.prefix(256))'")
      }
    case nil:
      response.errorResponse.errorCode = Int32(StatusCode.invalidArgument.rawValue)
      response.errorResponse.errorMessage = "the request asks nothing"
    }
    return response
  }

  private func fill(_ response: inout Response, _ files: [ProtoFile]?, _ otherwise: String) {
    if let files {
      response.fileDescriptorResponse = ProtoFile.response(files)
    } else {
      response.errorResponse.errorCode = Int32(StatusCode.notFound.rawValue)
      response.errorResponse.errorMessage = otherwise
    }
  }
}

/// The files of one generation, made when they are asked for.
internal struct ReflectionSchema {
  private let methods: GRPCMethods

  init(_ methods: GRPCMethods) { self.methods = methods }

  var serviceNames: [String] {
    methods.serviceNames + [WellKnownProto.healthService] + WellKnownProto.reflectionServices
  }

  /// A file and what it needs, or nil where there is none of the name.
  func files(named name: String) -> [ProtoFile]? {
    guard let file = file(named: name) else { return nil }
    return closure(of: file)
  }

  private func file(named name: String) -> ProtoFile? {
    if let file = WellKnownProto.files.first(where: { $0.name == name }) { return file }
    guard name.hasSuffix(".proto") else { return nil }
    return files(ofServiceLike: String(name.dropLast(".proto".utf8.count))).first { $0.name == name }
  }

  /// The files of the service of a name, or of the service whose messages are in the package of that name.
  private func files(ofServiceLike name: String) -> [ProtoFile] {
    for service in [name, ProtoNames.service(ofPackage: name)].compactMap({ $0 }) {
      if let made = methods.service(service) { return ProtoFiles(of: made).descriptors() }
    }
    return []
  }

  /// The file that declares a service, a method or a message, with what it needs.
  func files(containing symbol: String) -> [ProtoFile]? {
    if let file = WellKnownProto.file(containing: symbol) { return closure(of: file) }
    guard let name = symbol.split(separator: ".").first.map(String.init) else { return nil }
    let candidates = files(ofServiceLike: name)
    guard let file = candidates.first(where: { $0.declares(symbol) }) else { return nil }
    return closure(of: file)
  }

  private func closure(of file: ProtoFile) -> [ProtoFile] {
    var files = [file]
    var index = 0
    while index < files.count {
      for name in files[index].dependencies where !files.contains(where: { $0.name == name }) {
        if let needed = self.file(named: name) { files.append(needed) }
      }
      index += 1
    }
    return files
  }
}
