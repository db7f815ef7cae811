import RPCNetwork
package import RPCProcedures
package import RPCWire

/// The service `system`, which every server has: what its procedures are called, take and answer. The server offers what
/// is listed here, and everybody who calls `system` calls it by these types.
package enum SystemContract {
  package static let service = Names.reservedService

  /// Every procedure. The position of one is its id on the wire: new ones come last.
  package static let procedures: [any SystemProcedure.Type] = [
    Ping.self, DescribeCatalogue.self, ReadStatistics.self, ReadSource.self,
    DeployStatus.self, DeployBegin.self, DeployPut.self, DeployPrepare.self, DeployCommit.self,
    DeployAbort.self, DeployUnlock.self, DescribeTopology.self,
  ]

  /// What is offered over HTTP and gRPC, which browsers speak too: it changes nothing, and does not tell a page where else
  /// there are servers.
  package static let namesOverHTTP: Set<String> = [Ping.name, DescribeCatalogue.name, ReadStatistics.name]
}

extension SystemContract {
  /// Why a procedure may not call one of `system`, or nil.
  package static func refusal(toProcedures name: String) -> RPCError? {
    let isAllowed = procedures.contains { $0.isForProcedures && $0.name.hasSameUTF8(as: name) }
    return isAllowed ? nil : refusal(of: name)
  }

  package static func refusal(of name: String) -> RPCError {
    let allowed = procedures.filter { $0.isForProcedures }.map { "\(service).\($0.name)" }
    return RPCError(
      .clientNotRegistered,
      "procedures may not call \(service).\(name.prefix(64)): of '\(service)' they may call "
        + allowed.joined(separator: " and "), executed: .no)
  }
}

/// Who may call a procedure of `system`.
package enum SystemAccess: Hashable, Sendable {
  case everyone
  /// The tenants of the service that the call asks about, and those who may deploy.
  case tenantsAndDeployers
  /// Those who have proven a key that may deploy.
  case deployers
}

/// One procedure of `system`: a value of the type is a call of it, with its arguments.
package protocol SystemProcedure: SystemFields {
  associatedtype Answer: SystemAnswer

  static var name: String { get }
  static var documentation: String { get }
  static var access: SystemAccess { get }
  /// Whether procedures may call it too: they are less trusted than those who may call them.
  static var isForProcedures: Bool { get }
}

/// One that takes nothing.
package protocol ProcedureWithoutArguments: SystemProcedure {
  init()
}

extension ProcedureWithoutArguments {
  package static var empty: Self { Self() }
  package static var fields: [SystemField<Self>] { [] }
}

extension SystemProcedure {
  package static var isForProcedures: Bool { false }

  package static var signature: Signature {
    Signature(
      service: SystemContract.service, name: name,
      parameters: fields.map { Parameter($0.type, name: $0.name) }, returns: Answer.types)
  }

  /// What a catalogue tells of it.
  package static var procedure: Procedure {
    Procedure(
      signature: signature, language: .closure, documentation: documentation,
      idempotent: access != .deployers)
  }

  /// The arguments, in the order of the parameters.
  package var arguments: [Value] {
    Self.fields.map { field in
      guard let value = field.write(self) else { preconditionFailure("\(field.name) is not a parameter") }
      return value
    }
  }

  /// Reads the arguments of a call.
  ///
  /// - Throws: `InvalidArguments`, which names the argument.
  package init(arguments: [Value]) throws(RPCError) {
    let fields = Self.fields
    guard arguments.count == fields.count else {
      throw RPCError(
        .invalidArguments, "\(Self.name) takes \(fields.count) arguments, not \(arguments.count)")
    }
    self = Self.empty
    do throws(SystemDecodingError) {
      for (field, value) in zip(fields, arguments) { try field.read(value, into: &self) }
    } catch {
      throw RPCError(.invalidArguments, error.description(of: Self.name))
    }
  }

  /// Reads what a call returned.
  ///
  /// - Throws: `ProtocolError`, which names the field.
  package static func answer(_ values: [Value]) throws(RPCError) -> Answer {
    do throws(SystemDecodingError) {
      return try Answer(values: values)
    } catch {
      throw RPCError(
        .protocolError, "the server's answer is not understood: \(error.description(of: name))",
        executed: .yes)
    }
  }
}
