package import RPCProcedures
internal import RPCWire

/// A change of a method that breaks programs which were made for the method as it was: a field number that has
/// another name or type now, or is gone, and a name of the method that is gone.
package struct ProtoChange: Hashable, Sendable {
  /// The procedure as it is now.
  package var procedure: Procedure
  package var message: String

  /// Compares the procedures of one or more services with what they will be.
  package static func all(from old: [Procedure], to new: [Procedure]) -> [ProtoChange] {
    let before = Dictionary(grouping: old) { UTF8Key($0.signature.service) }
    let after = Dictionary(grouping: new) { UTF8Key($0.signature.service) }
    return after.keys.sorted().flatMap { key -> [ProtoChange] in
      guard let earlier = before[key], let later = after[key] else { return [] }
      return changes(
        ProtoService(service: key.text, procedures: earlier),
        ProtoService(service: key.text, procedures: later), earlier, later)
    }
  }

  private static func changes(
    _ old: ProtoService, _ new: ProtoService, _ earlier: [Procedure], _ procedures: [Procedure]
  ) -> [ProtoChange] {
    let methods = Dictionary(new.methods.map { ($0.name, $0) }) { first, _ in first }
    var seen: Set<String> = []
    return old.methods.flatMap { before -> [ProtoChange] in
      guard let after = methods[before.name] else {
        return renaming(of: before.name, earlier[before.procedure], in: new, procedures).map { [$0] } ?? []
      }
      let messages =
        differences(before.request, after.request, "argument")
        + differences(before.response, after.response, "result")
      return messages.map {
        ProtoChange(
          procedure: procedures[after.procedure],
          message: "in gRPC '\(new.name).\(before.name)' changes: \($0)")
      }
    }.filter { seen.insert($0.message).inserted }
  }

  /// A procedure that stays, under other names: as an overload does that becomes the only one.
  private static func renaming(
    of name: String, _ procedure: Procedure, in new: ProtoService, _ procedures: [Procedure]
  ) -> ProtoChange? {
    let signature = procedure.signature
    let index = procedures.firstIndex {
      $0.signature.name.hasSameUTF8(as: signature.name)
        && $0.signature.parameterTypes == signature.parameterTypes
    }
    guard let index, let now = new.methods.first(where: { $0.procedure == index })?.name else { return nil }
    return ProtoChange(
      procedure: procedures[index],
      message: "in gRPC '\(new.name).\(name)' is gone: it is '\(new.name).\(now)' now")
  }

  private static func differences(_ old: ProtoMessage, _ new: ProtoMessage, _ what: String) -> [String] {
    let fields = Dictionary(new.fields.map { ($0.number, $0) }) { first, _ in first }
    return old.fields.compactMap { before in
      guard let after = fields[before.number] else {
        return "the \(what) '\(before.name)' with the number \(before.number) is gone"
      }
      if after.form != before.form {
        return "the \(what) with the number \(before.number), '\(before.name)', gets another type"
      }
      if !after.name.hasSameUTF8(as: before.name) {
        return "the number \(before.number) was the \(what) '\(before.name)' and becomes '\(after.name)'"
      }
      return nil
    }
  }
}
