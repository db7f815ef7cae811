import RPCProcedures
import RPCProto
import RPCWire

/// What a file says of the procedures' form in gRPC, and whether they can have one.
extension InitFileReader {
  /// `grpc: NAME`.
  mutating func methodName(_ node: YamlNode, _ owner: String) -> String? {
    guard let name = text(node, "'grpc' of \(owner)") else { return nil }
    if let problem = ProtoNames.problem(with: name) {
      report(node.place, "invalid name '\(name.prefix(64))' in 'grpc' of \(owner): \(problem)")
      return nil
    }
    return name
  }

  /// Whether it is `{type: T, field: N}`: a type with its field number rather than arguments of these names.
  func isPinned(_ node: YamlNode) -> Bool {
    guard case .map(let entries) = node.content, entries.count == 2,
      Set(entries.compactMap(\.key.text)) == ["type", "field"],
      let number = entries.first(where: { $0.key.text == "field" })?.value
    else { return false }
    return number.isPlain && number.text.flatMap { Int($0) } != nil
  }

  /// A type, or `{type: T, field: N}`.
  mutating func pinnedType(_ node: YamlNode, _ what: String) -> (type: ValueType, field: Int?)? {
    guard case .map = node.content else { return type(node, what).map { ($0, nil) } }
    var fields = section(node, "a type in \(what)", .pinnedType)
    guard let text = required(&fields, "type", "the type of the value, in \(what)", at: node.place),
      let type = type(text, what)
    else { return nil }
    guard let number = fields?["field"] else { return (type, nil) }
    guard number.isPlain, let field = number.text.flatMap({ Int($0) }) else {
      report(number.place, "'field' in \(what) must be a field number of protobuf, found \(number.kind)")
      return nil
    }
    if let problem = ProtoSignature.problem(withNumber: field) {
      report(number.place, "'field' in \(what) \(problem)")
      return nil
    }
    return (type, field)
  }

  /// The numbers of all fields, 0 where the position counts; none at all where none is pinned.
  static func pins(_ fields: [Int?]) -> [Int] {
    fields.contains { $0 != nil } ? fields.map { $0 ?? 0 } : []
  }

  /// Says which overload of its name each procedure is, and reports what cannot be told apart in gRPC.
  mutating func checkProtobuf() {
    var services: [UTF8Key: [Int]] = [:]
    var order: [UTF8Key] = []
    var counts: [UTF8Key: Int] = [:]
    for index in procedures.indices {
      let signature = procedures[index].procedure.signature
      let overload = counts[UTF8Key(signature.qualifiedName), default: 0]
      counts[UTF8Key(signature.qualifiedName)] = overload + 1
      procedures[index].procedure.grpc.overload = overload
      let key = UTF8Key(signature.service)
      if services[key] == nil { order.append(key) }
      services[key, default: []].append(index)
    }
    // What is wrong by itself is wrong in gRPC too: once is enough.
    guard errors == nil else { return }
    for key in order {
      guard let members = services[key] else { continue }
      let service = ProtoService(service: key.text, procedures: members.map { procedures[$0].procedure })
      for problem in service.problems {
        let other = problem.other.map { "; the other is at line \(procedures[members[$0]].place.line)" }
        report(procedures[members[problem.procedure]].place, problem.message + (other ?? ""))
      }
    }
    let declared = self.services
    for problem in ProtoService.problems(withServices: declared.map(\.name)) {
      let other = problem.other.map { "; the other is at line \(declared[$0].place.line)" }
      report(declared[problem.procedure].place, problem.message + (other ?? ""))
    }
  }
}
