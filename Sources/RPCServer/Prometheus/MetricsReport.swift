internal import RPCProcedures
internal import RPCWire

/// All that a server counts, as Prometheus reads it (exposition format 0.0.4). Written in pieces, each of which takes
/// little time however many procedures there are: all samples of one metric stand together, so the pieces go through the
/// procedures once for each metric.
internal struct MetricsReport: Sendable {
  static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

  /// Where the next piece begins; nil behind the last.
  struct Position: Sendable {
    fileprivate var family = 0
    fileprivate var row = 0
  }

  private let snapshot: LoopSnapshot
  private let rows: [BoundProcedure]
  private let server: ServerFacts

  /// What is known of the server besides what its loops count.
  struct ServerFacts: Sendable {
    var version: String
    var name: String?
    var startedMilliseconds: Int64
    var generation: Int
    var isDegraded: Bool
    var loops: Int
    var quarantined: [Signature] = []
  }

  /// Procedures that one piece writes of.
  private static let rowsPerPiece = 256

  init(_ snapshot: LoopSnapshot, _ catalogue: Catalogue, _ server: ServerFacts) {
    self.snapshot = snapshot
    self.server = server
    rows = catalogue.allProcedures
  }

  /// Appends a piece of it.
  ///
  /// - Returns: where the next one begins.
  func append(from position: Position, to output: inout ByteQueue) -> Position? {
    guard position.family > 0 else {
      appendTotals(to: &output)
      return Position(family: 1, row: 0)
    }
    let family = Family.all[position.family - 1]
    if position.row == 0 {
      output.append("# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.type)\n")
      family.append(snapshot.other, "service=\"other\",procedure=\"other\",types=\"\"", &output)
    }
    let end = min(rows.count, position.row + Self.rowsPerPiece)
    for row in rows[position.row..<end] {
      let id = Int(row.id)
      guard id < snapshot.procedures.count else { continue }
      family.append(snapshot.procedures[id], Self.labels(of: row.signature), &output)
    }
    if end < rows.count { return Position(family: position.family, row: end) }
    return position.family < Family.all.count ? Position(family: position.family + 1, row: 0) : nil
  }

  /// The labels that tell a procedure from others. Names need no escapes, and types have none of `\`, `"` and line ends.
  private static func labels(of signature: Signature) -> String {
    let types = signature.parameterTypes.map(\.description).joined(separator: ", ")
    return
      "service=\"\(escaped(signature.service))\",procedure=\"\(escaped(signature.name))\",types=\"\(types)\""
  }

  /// The value of a label: `\`, `"` and line ends are escaped.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  // MARK: What has no procedure

  private func appendTotals(to output: inout ByteQueue) {
    let totals = snapshot.totals
    func single(_ name: String, _ type: String, _ help: String, _ value: String, labels: String = "") {
      output.append("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n\(name)\(labels) \(value)\n")
    }
    let name = server.name.map { ",server=\"\(Self.escaped($0))\"" } ?? ""
    single(
      "simplerpc_info", "gauge", "What runs here: 1.", "1",
      labels: "{version=\"\(Self.escaped(server.version))\"\(name)}")
    single(
      "simplerpc_start_time_seconds", "gauge", "When the server started, in seconds since 1970.",
      Self.seconds(UInt64(max(0, server.startedMilliseconds)) &* 1_000_000))
    single("simplerpc_generation", "gauge", "The number of the generation in force.", "\(server.generation)")
    single(
      "simplerpc_degraded", "gauge", "Whether the server does not serve what was committed last.",
      server.isDegraded ? "1" : "0")
    single("simplerpc_loops", "gauge", "Event loops.", "\(server.loops)")
    single("simplerpc_connections", "gauge", "Open connections.", "\(totals.connections)")
    single(
      "simplerpc_connections_total", "counter", "Connections since the start.", "\(totals.connectionsTotal)")
    single(
      "simplerpc_connections_refused_total", "counter", "Connections that were not taken.",
      "\(totals.connectionsRefused)")
    single("simplerpc_received_bytes_total", "counter", "Bytes that came in.", "\(totals.bytesIn)")
    single("simplerpc_sent_bytes_total", "counter", "Bytes that went out.", "\(totals.bytesOut)")
    single(
      "simplerpc_calls_in_flight", "gauge", "Calls that have begun and not ended.", "\(totals.callsInFlight)")
    let loads = snapshot.loads.sorted { $0.key.rawValue < $1.key.rawValue }
    func each(_ name: String, _ help: String, _ value: (RuntimeLoad) -> Int) {
      guard !loads.isEmpty else { return }
      output.append("# HELP \(name) \(help)\n# TYPE \(name) gauge\n")
      for (language, load) in loads {
        output.append("\(name){language=\"\(language.rawValue)\"} \(value(load))\n")
      }
    }
    each("simplerpc_runtime_running_calls", "Calls that a runtime runs.", \.running)
    each("simplerpc_runtime_queued_calls", "Calls that wait for a worker or for their source.", \.queued)
    each("simplerpc_runtime_workers", "Processes that run calls.", \.workers)
    guard !server.quarantined.isEmpty else { return }
    output.append(
      "# HELP simplerpc_procedure_quarantined Procedures whose calls kept ending their worker: 1.\n"
        + "# TYPE simplerpc_procedure_quarantined gauge\n")
    for signature in server.quarantined {
      output.append("simplerpc_procedure_quarantined{\(Self.labels(of: signature))} 1\n")
    }
  }

  /// Nanoseconds as seconds, exactly, without zeros at the end.
  static func seconds(_ nanoseconds: UInt64) -> String {
    let rest = nanoseconds % 1_000_000_000
    guard rest > 0 else { return "\(nanoseconds / 1_000_000_000)" }
    let digits = "\(rest)"
    var text =
      "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - digits.utf8.count) + digits
    while text.last == "0" { text.removeLast() }
    return text
  }
}

extension MetricsReport.ServerFacts {
  init(_ host: ServerLoop) {
    self.init(
      version: host.agent, name: host.core.serverName, startedMilliseconds: host.core.startedMilliseconds,
      generation: host.catalogue.serial, isDegraded: host.core.degraded != nil, loops: host.options.loops,
      quarantined: host.core.quarantine.entries.map(\.signature))
  }
}
