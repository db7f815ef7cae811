internal import RPCProto
internal import RPCWire
internal import SwiftProtobuf

/// What `grpc.health.v1` says of this server: the name "" stands for all of it.
internal struct Health {
  typealias Status = Grpc_Health_V1_HealthCheckResponse.ServingStatus
  private let host: ServerLoop

  init(_ host: ServerLoop) { self.host = host }

  /// Nil for a service that is not served here.
  func status(of service: String) -> Status? {
    guard service.isEmpty || isKnown(service) else { return nil }
    return host.isDraining ? .notServing : .serving
  }

  private func isKnown(_ service: String) -> Bool {
    host.grpcMethods.hasService(service) || service == WellKnownProto.healthService
      || WellKnownProto.reflectionServices.contains(service)
  }

  func list() -> Grpc_Health_V1_HealthListResponse {
    var response = Grpc_Health_V1_HealthListResponse()
    for name in [""] + host.grpcMethods.serviceNames {
      response.statuses[name] = Self.response(status(of: name) ?? .unknown)
    }
    return response
  }

  static func response(_ status: Status) -> Grpc_Health_V1_HealthCheckResponse {
    var response = Grpc_Health_V1_HealthCheckResponse()
    response.status = status
    return response
  }
}

/// `Watch`: tells the status of one service at once, and then each time that it changes.
internal final class HealthWatch: BuiltinStream {
  private unowned let stream: GRPCStream
  private unowned let dialect: GRPCDialect
  private var service: String?
  private var told: Health.Status?

  init(_ stream: GRPCStream, _ dialect: GRPCDialect) {
    self.stream = stream
    self.dialect = dialect
  }

  func received() {
    guard let message = dialect.nextMessage(of: stream) else { return }
    guard service == nil, let request = try? Grpc_Health_V1_HealthCheckRequest(serializedBytes: message)
    else {
      return dialect.end(stream, GRPCStatus(.invalidArgument, "Watch takes one HealthCheckRequest"))
    }
    service = request.service
    tell(Health(dialect.host).status(of: request.service) ?? .serviceUnknown)
    if dialect.host.isDraining { serverDrains() }
  }

  func requestHasEnded() {
    guard service == nil, stream.status == nil else { return }
    dialect.end(stream, GRPCStatus(.unimplemented, "this method takes one message, and none came"))
  }

  func generationChanged() {
    guard let service else { return }
    tell(Health(dialect.host).status(of: service) ?? .serviceUnknown)
  }

  func serverDrains() {
    if let service, Health(dialect.host).status(of: service) != nil { tell(.notServing) }
    dialect.end(stream, GRPCStatus(.unavailable, "the server is shutting down"))
  }

  private func tell(_ status: Health.Status) {
    guard status != told, stream.status == nil else { return }
    told = status
    dialect.send(Health.response(status), on: stream)
  }
}
