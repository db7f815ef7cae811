package import RPCWire

/// What a server has counted since it started: the answer of `system.stats`.
package struct ServerStatistics: SystemMap {
  package struct PerProcedure: Hashable, Sendable {
    @ComparedByUTF8 package var service: String
    @ComparedByUTF8 package var procedure: String
    /// The types of its parameters, as text.
    @ComparedByUTF8 package var types: [String]
    package var calls: Int
    package var errors: Int
    /// Time spent in it, where that is measured.
    package var microseconds: Int
    /// Why it is not called any more.
    @ComparedByUTF8 package var quarantine: String?

    package init(
      service: String, procedure: String, types: [String], calls: Int, errors: Int, microseconds: Int,
      quarantine: String? = nil
    ) {
      self.service = service
      self.procedure = procedure
      self.types = types
      self.calls = calls
      self.errors = errors
      self.microseconds = microseconds
      self.quarantine = quarantine
    }
  }

  package var connections = 0
  package var connectionsTotal = 0
  package var connectionsRefused = 0
  package var calls = 0
  package var callsInFlight = 0
  package var errors = 0
  package var cancelled = 0
  package var deadlineExceeded = 0
  package var refused = 0
  package var bytesIn = 0
  package var bytesOut = 0
  package var uptimeMilliseconds = 0
  package var loops = 0
  package var generation = 0
  package var procedures: [PerProcedure] = []
  /// Why the server does not serve what was committed last.
  @ComparedByUTF8 package var degraded: String? = nil

  /// What confines the processes of procedures, where there are any.
  @ComparedByUTF8 package var isolation: String? = nil

  package static let empty = ServerStatistics()
  package static let fields: [SystemField<ServerStatistics>] = [
    .init("connections", \.connections), .init("connections_total", \.connectionsTotal),
    .init("connections_refused", \.connectionsRefused), .init("calls", \.calls),
    .init("calls_in_flight", \.callsInFlight), .init("errors", \.errors), .init("cancelled", \.cancelled),
    .init("deadline_exceeded", \.deadlineExceeded), .init("refused", \.refused), .init("bytes_in", \.bytesIn),
    .init("bytes_out", \.bytesOut), .init("uptime_ms", \.uptimeMilliseconds), .init("loops", \.loops),
    .init("generation", \.generation), .init("per_procedure", \.procedures), .init("degraded", \.degraded),
    .init("isolation", \.isolation),
  ]

  package init() {}
}

extension ServerStatistics.PerProcedure: SystemMap {
  package static let empty = ServerStatistics.PerProcedure(
    service: "", procedure: "", types: [], calls: 0, errors: 0, microseconds: 0)
  package static let fields: [SystemField<ServerStatistics.PerProcedure>] = [
    .init("service", \.service), .init("rpc", \.procedure), .init("types", \.types), .init("calls", \.calls),
    .init("errors", \.errors), .init("total_us", \.microseconds), .init("quarantine", \.quarantine),
  ]
}
