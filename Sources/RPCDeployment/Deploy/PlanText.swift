import RPCProcedures
import RPCProto
import RPCWire

/// What a plan changes on a server, line by line. Procedures of one source to which the same happens are one line
/// when there are many.
struct PlanText {
  /// So many procedures of one source have a line each.
  static let linesOfOneSource = 3
  /// Names of a line that stands for more.
  static let namesShown = 6

  private let plan: Plan
  private let paths: [String: String]
  private let places: [String: String]
  private let paint: TextPaint

  init(_ plan: Plan, paths: [String: String], places: [String: String] = [:], paint: TextPaint) {
    self.plan = plan
    self.paths = paths
    self.places = places
    self.paint = paint
  }

  var lines: [String] {
    var lines: [String] = []
    if let degraded = plan.degraded { lines.append(paint(.red, "! degraded: \(degraded)")) }
    lines += grouped(plan.added.map { ($0, ContentDigest.short($0.digest)) }, paint(.green, "+ "))
    lines += grouped(
      plan.changed.map { ($0.new, $0.details.joined(separator: "; ")) }, paint(.yellow, "~ "))
    lines += grouped(plan.removed.map { ($0, ContentDigest.short($0.digest)) }, paint(.red, "- "))
    lines += plan.notes
    lines += plan.protoChanges.map { change in
      let place = places[Manifest.identity(of: change.procedure.signature)].map { "\($0): " } ?? ""
      return paint(.yellow, "warning: \(place)\(change.message)")
    }
    if !plan.unchanged.isEmpty {
      lines.append(paint(.dim, "= \(English.count(plan.unchanged.count, "procedure")) unchanged"))
    }
    return lines
  }

  /// Each procedure with what is said of it.
  private func grouped(_ entries: [(procedure: Procedure, note: String)], _ mark: String) -> [String] {
    struct Key: Hashable {
      var digest: String
      var note: String
    }
    var groups: [Key: [Procedure]] = [:]
    var order: [Key] = []
    for (procedure, note) in entries {
      let key = Key(digest: procedure.digest, note: note)
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(procedure)
    }
    return order.flatMap { key -> [String] in
      let procedures = groups[key] ?? []
      let note = paint(.dim, key.note)
      guard procedures.count > Self.linesOfOneSource else {
        return procedures.map { "\(mark)\($0.signature)  \(note)" }
      }
      var names: [String] = []
      for procedure in procedures where !names.contains("\(procedure.signature.qualifiedName)") {
        names.append("\(procedure.signature.qualifiedName)")
      }
      let more = names.count > Self.namesShown ? ", …" : ""
      let shown = names.prefix(Self.namesShown).joined(separator: ", ") + more
      let path = paths[key.digest] ?? procedures[0].sourceName
      return ["\(mark)\(path): \(English.count(procedures.count, "procedure")) (\(shown))  \(note)"]
    }
  }
}
