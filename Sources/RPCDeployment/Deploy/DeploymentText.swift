import RPCClient
import RPCProcedures
import RPCWire

/// A report as people read it.
public struct DeploymentText {
  private let report: DeploymentReport
  private let isDryRun: Bool
  private let isColored: Bool

  public init(_ report: DeploymentReport, isDryRun: Bool = false, isColored: Bool = false) {
    self.report = report
    self.isDryRun = isDryRun
    self.isColored = isColored
  }

  /// Lines, each ended.
  public var text: String {
    let names = report.servers.map { $0.server.name.count }.max() ?? 0
    let addresses = report.servers.map { Self.address($0.server).count }.max() ?? 0
    var lines: [String] = []
    for server in report.servers {
      let name = paint(.bold, Self.pad(server.server.name, to: names))
      lines.append("\(name)  \(Self.pad(Self.address(server.server), to: addresses))  \(headline(server))")
      if let plan = server.plan, !plan.isUpToDate { lines += changes(plan).map { "  \($0)" } }
    }
    lines += summary
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: One server

  private func headline(_ server: DeploymentReport.Server) -> String {
    let sent =
      server.sentSources == 0
      ? "no source sent"
      : "sent \(Self.count(server.sentSources, "source")) (\(Self.size(server.sentBytes)))"
    switch server.outcome {
    case .upToDate:
      let count = server.plan.map { ", \(Self.count($0.manifest.procedures.count, "procedure"))" } ?? ""
      return "up to date (generation \(server.plan?.generation ?? 0)\(count))"
    case .deployed(let generation):
      return paint(.green, "generation \(generation) in force") + ", \(sent)"
    case .planned: return paint(.yellow, "to be changed")
    case .leftAlone: return paint(.yellow, "left as it was")
    case .missed(let error): return paint(.red, "missed: \(error.message)")
    case .refused(let error): return paint(.red, "refused: \(Self.reason(error))")
    case .unconfirmed(let error): return paint(.red, "did not confirm the switch: \(error.message)")
    }
  }

  /// The message, with the place where a procedure is wrong.
  private static func reason(_ error: RPCError) -> String {
    error.source.map { "\(error.message) (at \($0))" } ?? error.message
  }

  private func changes(_ plan: Plan) -> [String] {
    var lines: [String] = []
    if let degraded = plan.degraded { lines.append(paint(.red, "! degraded: \(degraded)")) }
    func spelled(_ procedure: Procedure) -> String {
      "\(procedure.signature)  \(paint(.dim, ContentDigest.short(procedure.digest)))"
    }
    lines += plan.added.map { paint(.green, "+ ") + spelled($0) }
    lines += plan.changed.map { change in
      paint(.yellow, "~ ") + "\(change.new.signature)  \(paint(.dim, change.details.joined(separator: "; ")))"
    }
    lines += plan.removed.map { paint(.red, "- ") + spelled($0) }
    lines += plan.notes
    if !plan.unchanged.isEmpty {
      lines.append(paint(.dim, "= \(Self.count(plan.unchanged.count, "procedure")) unchanged"))
    }
    return lines
  }

  // MARK: All of them

  private var summary: [String] {
    let failed = report.failures
    guard failed.isEmpty else {
      let names = failed.map(\.server.name).joined(separator: ", ")
      let isSplit = report.servers.contains { server in
        switch server.outcome {
        case .deployed, .unconfirmed: true
        default: false
        }
      }
      if isSplit {
        return [
          paint(.red, "Not every server switched (\(names)). Run it again: it gives each what it lacks.")
        ]
      }
      return [paint(.red, "Nothing was changed on any server because of \(names).")]
    }
    if report.servers.contains(where: { $0.outcome == .leftAlone }) {
      return ["Nothing was changed on any server: interrupted."]
    }
    if isDryRun {
      let count = report.servers.count { $0.outcome == .planned }
      return [count == 0 ? "Everything is up to date." : "A dry run: nothing was changed."]
    }
    if report.servers.allSatisfy({ $0.outcome == .upToDate }) { return ["Everything is up to date."] }
    return []
  }

  // MARK: Spelling

  private enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
  }

  private func paint(_ style: Style, _ text: String) -> String {
    isColored ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
  }

  private static func address(_ server: Topology.Server) -> String {
    server.host.contains(":") ? "[\(server.host)]:\(server.port)" : "\(server.host):\(server.port)"
  }

  private static func pad(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private static func count(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  static func size(_ bytes: Int) -> String {
    if bytes < 1024 { return "\(bytes) bytes" }
    let (unit, value) = bytes < 1 << 20 ? ("KiB", Double(bytes) / 1024) : ("MiB", Double(bytes) / 1_048_576)
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(unit)"
  }
}
