package import RPCWire

// What a server tells of itself.

package struct Ping: ProcedureWithoutArguments {
  package typealias Answer = String

  package static let name = "ping"
  package static let documentation = "Answers pong."
  package static let access = SystemAccess.everyone
  package static let isForProcedures = true

  package init() {}
}

package struct DescribeCatalogue: ProcedureWithoutArguments {
  package typealias Answer = ServerCatalogue

  package static let name = "catalogue"
  package static let documentation = "What this server serves: services, procedures, generation."
  package static let access = SystemAccess.everyone
  package static let isForProcedures = true

  package init() {}
}

package struct ReadStatistics: ProcedureWithoutArguments {
  package typealias Answer = ServerStatistics

  package static let name = "stats"
  package static let documentation = "Counters since the server started."
  package static let access = SystemAccess.everyone

  package init() {}
}

package struct DescribeTopology: ProcedureWithoutArguments {
  package typealias Answer = ServerTopology

  package static let name = "topology"
  package static let documentation = "The servers and services of the network that the caller may use."
  package static let access = SystemAccess.everyone

  package init() {}
}

package struct ReadSource: SystemProcedure {
  package typealias Answer = String

  @ComparedByUTF8 package var service: String
  @ComparedByUTF8 package var procedure: String
  /// The types of its parameters, as text.
  @ComparedByUTF8 package var types: [String]

  package static let name = "source"
  package static let documentation = "The source of a procedure as it is deployed."
  package static let access = SystemAccess.tenantsAndDeployers
  package static let empty = ReadSource(service: "", procedure: "", types: [])
  package static let fields: [SystemField<ReadSource>] = [
    .init("service", \.service), .init("procedure", \.procedure), .init("types", \.types),
  ]

  package init(service: String, procedure: String, types: [String]) {
    self.service = service
    self.procedure = procedure
    self.types = types
  }
}
