import RPCNetwork
import RPCProcedures
import RPCWire

/// A report as people read it. Servers of which there is the same to say are told in one line, and procedures of one
/// source that change in the same way too.
package struct DeploymentText {
  /// Servers of one group that are named; of more, the first ones are, and the number of the others.
  static let namesShown = 6

  private let report: DeploymentReport
  private let isDryRun: Bool
  private let paint: TextPaint

  package init(_ report: DeploymentReport, isDryRun: Bool = false, isColored: Bool = false) {
    self.report = report
    self.isDryRun = isDryRun
    paint = TextPaint(isColored: isColored)
  }

  /// Lines, each ended.
  package var text: String {
    var lines = groups.flatMap(lines(of:))
    lines += failureLines
    lines += report.hints.map { paint(.dim, "hint: ") + $0.description }
    if report.refusesKey, let path = report.publicKeyPath {
      lines.append(
        paint(.dim, "hint: ") + "--deployers \(path) lets this key in, and so does any file with its line")
    }
    lines += summary
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Servers

  /// Servers of which the same is said, in the order of the file.
  private struct Group {
    var servers: [DeploymentReport.Server]
    var headline: String
    var changes: [String]
  }

  private var groups: [Group] {
    var groups: [Group] = []
    for server in report.servers {
      let headline = headline(server)
      var changes: [String] = []
      if let plan = server.plan, !plan.isUpToDate {
        changes = PlanText(plan, paths: report.sourcePaths, places: report.places, paint: paint).lines
      }
      if let index = groups.firstIndex(where: { $0.headline == headline && $0.changes == changes }) {
        groups[index].servers.append(server)
      } else {
        groups.append(Group(servers: [server], headline: headline, changes: changes))
      }
    }
    return groups
  }

  private func lines(of group: Group) -> [String] {
    let title: String
    if group.servers.count == 1 {
      let single = groups.filter { $0.servers.count == 1 }.map { $0.servers[0].server }
      let names = single.map(\.name.count).max() ?? 0
      let addresses = single.map { Self.address($0).count }.max() ?? 0
      let server = group.servers[0].server
      title =
        paint(.bold, Self.pad(server.name, to: names)) + "  " + Self.pad(Self.address(server), to: addresses)
    } else {
      let names = group.servers.map(\.server.name)
      let more = names.count - Self.namesShown
      let shown = names.prefix(more > 1 ? Self.namesShown : names.count).joined(separator: ", ")
      title = paint(.bold, shown) + (more > 1 ? " and \(more) more" : "")
    }
    return ["\(title)  \(group.headline)"] + group.changes.map { "  \($0)" }
  }

  private func headline(_ server: DeploymentReport.Server) -> String {
    let sent =
      server.sentSources == 0
      ? "no source sent"
      : "sent \(English.count(server.sentSources, "source")) (\(Self.size(server.sentBytes)))"
    switch server.outcome {
    case .upToDate:
      let count = server.plan.map { ", \(English.count($0.manifest.procedures.count, "procedure"))" } ?? ""
      let deployment = server.plan?.deployment.map { ", deployment \($0.id), serial \($0.serial)" } ?? ""
      return "up to date (generation \(server.plan?.generation ?? 0)\(count)\(deployment))"
    case .deployed(let generation)
    where server.plan?.isTopologyOnly == true && server.plan?.generation == generation:
      return paint(.green, "addresses and keys in force, generation \(generation) stays")
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

  // MARK: All of them

  /// Each source that could not be loaded, once, with the servers that say so.
  private var failureLines: [String] {
    var servers: [LoadFailure: [String]] = [:]
    var order: [LoadFailure] = []
    for server in report.servers {
      for failure in server.loadFailures {
        if servers[failure] == nil { order.append(failure) }
        servers[failure, default: []].append(server.server.name)
      }
    }
    return order.map { failure in
      let names = servers[failure] ?? []
      let place = names.count < report.servers.count ? " on \(names.joined(separator: ", "))" : ""
      return paint(.red, failure.description(path: report.sourcePaths[failure.digest]) + place)
    }
  }

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
    let changed = report.servers.filter { $0.outcome != .upToDate }
    guard !changed.isEmpty else { return ["Everything is up to date."] }
    let count =
      "\(changes(of: changed)) on \(English.share(changed.count, of: report.servers.count, "server"))"
    let deployment = report.deployment.map { ": deployment \($0.id), serial \($0.serial)" } ?? ""
    return [isDryRun ? "A dry run: nothing was changed. It would be: \(count)." : "\(count)\(deployment)."]
  }

  /// `2 added, 20 changed`: each procedure once, on however many servers it is.
  private func changes(of servers: [DeploymentReport.Server]) -> String {
    let plans = servers.compactMap(\.plan)
    func distinct(_ procedures: (Plan) -> [Procedure]) -> Int {
      Set(plans.flatMap(procedures).map { Manifest.identity(of: $0.signature) }).count
    }
    let counts = [
      (distinct(\.added), "added"), (distinct { $0.changed.map(\.new) }, "changed"),
      (distinct(\.removed), "removed"),
    ].filter { $0.0 > 0 }
    guard !counts.isEmpty else { return "no procedure changed" }
    return counts.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }

  // MARK: Spelling

  private static func address(_ server: Topology.Server) -> String {
    server.host.contains(":") ? "[\(server.host)]:\(server.port)" : "\(server.host):\(server.port)"
  }

  private static func pad(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  static func size(_ bytes: Int) -> String {
    if bytes < 1024 { return English.count(bytes, "byte") }
    let (unit, value) = bytes < 1 << 20 ? ("KiB", Double(bytes) / 1024) : ("MiB", Double(bytes) / 1_048_576)
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(unit)"
  }
}

/// Colours a text, or not.
struct TextPaint {
  enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
  }

  var isColored: Bool

  func callAsFunction(_ style: Style, _ text: String) -> String {
    isColored ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
  }
}
