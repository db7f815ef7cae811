import RPCProcedures
import RPCWire

/// What a server says it offers: the answer of `system.catalogue`.
struct ServerCatalogue: Hashable, Sendable {
  struct Service: Hashable, Sendable {
    var name: String
    var providers: [String]
    var tenants: [String]
    var procedures: [Procedure]
  }

  var server: String?
  var version: String
  var generation: Int
  var digest: String
  var startedMilliseconds: Int64?
  var services: [Service]

  var procedures: [Procedure] { services.flatMap(\.procedures) }

  func service(_ name: String) -> Service? { services.first { $0.name.hasSameUTF8(as: name) } }

  /// Names arguments as a file does where the server does not, as for the closures of a Swift program.
  mutating func nameParameters(as declared: [Procedure]) {
    for service in services.indices {
      for index in services[service].procedures.indices {
        let signature = services[service].procedures[index].signature
        guard !signature.parameters.isEmpty, signature.parameters.allSatisfy({ $0.name == nil }),
          let other = declared.first(where: {
            $0.signature.qualifiedName == signature.qualifiedName
              && $0.signature.parameterTypes == signature.parameterTypes
          })
        else { continue }
        services[service].procedures[index].signature.parameters = other.signature.parameters
      }
    }
  }
}

extension ServerCatalogue {
  /// Reads the answer. What an older or newer server leaves out or adds does no harm.
  init(_ value: Value) {
    server = value["server"]?.stringValue
    version = value["version"]?.stringValue ?? ""
    generation = value["generation"]?.intValue.map { Int($0) } ?? 0
    digest = value["digest"]?.stringValue ?? ""
    startedMilliseconds = value["started_ms"]?.intValue
    services = (value["services"]?.listValue ?? []).compactMap { Service($0) }
  }
}

extension ServerCatalogue.Service {
  fileprivate init?(_ value: Value) {
    guard let name = value["name"]?.stringValue else { return nil }
    self.name = name
    providers = (value["providers"]?.listValue ?? []).compactMap(\.stringValue)
    tenants = (value["tenants"]?.listValue ?? []).compactMap(\.stringValue)
    procedures = (value["procedures"]?.listValue ?? []).compactMap { Procedure($0, service: name) }
  }
}

extension Procedure {
  fileprivate init?(_ value: Value, service: String) {
    guard let name = value["name"]?.stringValue else { return nil }
    let parameters = (value["parameters"]?.listValue ?? []).map { parameter in
      Parameter(Self.type(parameter["type"]), name: parameter["name"]?.stringValue)
    }
    let digest = value["digest"]?.stringValue ?? ""
    self.init(
      signature: Signature(
        service: service, name: name, parameters: parameters,
        returns: (value["returns"]?.listValue ?? []).map { Self.type($0) }),
      language: value["language"]?.stringValue.flatMap { Language(rawValue: $0, digest: digest) } ?? .closure,
      function: value["function"]?.stringValue, digest: digest,
      sourceName: value["source_name"]?.stringValue ?? "", documentation: value["doc"]?.stringValue,
      timeoutMilliseconds: value["timeout_ms"]?.intValue.map { Int($0) },
      memoryBytes: value["memory_bytes"]?.intValue.map { Int($0) },
      idempotent: value["idempotent"]?.boolValue ?? false)
  }

  /// A type that this shell does not know takes anything: the server decides.
  private static func type(_ value: Value?) -> ValueType {
    guard let text = value?.stringValue, let type = try? ValueType(parsing: text) else { return .any }
    return type
  }
}
