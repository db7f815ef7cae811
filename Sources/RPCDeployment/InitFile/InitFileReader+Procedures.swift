import RPCNetwork
import RPCProcedures
import RPCWire

extension InitFileReader {
  mutating func readProcedures(_ node: YamlNode) {
    var seen: [String: Place] = [:]
    // By service, name and argument types.
    var overloads: [String: Place] = [:]
    for service in entries(node, "'rpc'") {
      guard declareOnce(service.name, service.key.place, "the 'rpc' of service", in: &seen) else { continue }
      guard !service.value.isNull else { continue }
      let reference = Reference(name: service.name, place: service.key.place)
      let list = entries(service.value, "the 'rpc' of service '\(service.name)'", of: .procedure)
      for entry in list {
        // In the map form, overloads of one name are a list.
        var declarations = [entry.value]
        if case .list(let items) = entry.value.content { declarations = items }
        for declaration in declarations {
          let place = declarations.count > 1 ? declaration.place : entry.key.place
          readProcedure(entry.name, declaration, of: reference, at: place, &overloads)
        }
      }
    }
    bound(procedures.count, "procedures", DeploymentLimits.proceduresMax, at: node.place)
  }

  private mutating func readProcedure(
    _ name: String, _ node: YamlNode, of service: Reference, at place: Place,
    _ overloads: inout [String: Place]
  ) {
    let owner = "procedure '\(service.name).\(name)'"
    declaredNames[UTF8Key(service.name), default: []].insert(UTF8Key(name))
    var fields = section(node, owner, .procedure)
    guard fields != nil else { return }
    let parameters = fields?["args"].map { self.parameters($0, owner) } ?? []
    let returns = fields?["returns"].map { self.returns($0, owner) } ?? []
    let source = required(&fields, "src", "the file with the source of \(owner)", at: place)
    var procedure = Procedure(
      signature: Signature(
        service: service.name, name: name, parameters: (parameters ?? []).map(\.parameter),
        returns: (returns ?? []).map(\.parameter.type)),
      language: .python)
    procedure.documentation = fields?["doc"].flatMap { documentation($0) }
    procedure.timeoutMilliseconds = fields?["timeout"].flatMap { milliseconds($0) }
    procedure.memoryBytes = fields?["memory"].flatMap { bytes($0) }
    procedure.idempotent = fields?["idempotent"].flatMap { flag($0, "idempotent") } ?? false
    procedure.grpc.method = fields?["grpc"].flatMap { methodName($0, owner) }
    procedure.grpc.argumentFields = Self.pins((parameters ?? []).map(\.field))
    procedure.grpc.returnFields = Self.pins((returns ?? []).map(\.field))
    if let parameters {
      checkNames(of: parameters, owner)
      let identity = Manifest.identity(of: procedure.signature)
      if let first = overloads[identity] {
        report(place, "\(identity) is declared twice; the first is at line \(first.line)")
      } else {
        overloads[identity] = place
      }
    }
    let path = readSource(source, fields ?? [:], &procedure, owner)
    procedures.append(
      DeclaredProcedure(procedure: procedure, place: place, service: service, path: path ?? ""))
  }

  private mutating func documentation(_ node: YamlNode) -> String? {
    guard let text = text(node, "'doc'") else { return nil }
    let limit = DeploymentLimits.documentationBytesMax
    if text.utf8.count > limit {
      report(node.place, "a 'doc' of \(text.utf8.count) bytes, the limit is \(limit)")
    }
    // A block scalar ends with a line break that nobody means.
    var scalars = text.unicodeScalars
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(scalars)
  }

  // MARK: Types

  private struct ReadParameter {
    var parameter: Parameter
    var place: Place
    /// The field number in gRPC that is pinned.
    var field: Int?
  }

  /// A list of types, of `name: type`, or of both; nil where a type was wrong.
  private mutating func parameters(_ node: YamlNode, _ owner: String) -> [ReadParameter]? {
    var pairs: [(key: YamlNode?, type: YamlNode)] = []
    switch node.content {
    case .map(let entries): pairs = entries.map { ($0.key, $0.value) }
    case .list(let items):
      for item in items {
        if case .map(let entries) = item.content, !isPinned(item) {
          pairs += entries.map { ($0.key, $0.value) }
        } else {
          pairs.append((nil, item))
        }
      }
    case .scalar(let text):
      let hint = node.isNull ? "[] for none" : "[\(text.prefix(40))]"
      report(node.place, "'args' of \(owner) must be a list of types, found \(node.kind) (write \(hint))")
      return nil
    }
    guard isArity(pairs.count, "'args' of \(owner)", at: node.place) else { return nil }
    var isRight = true
    let parameters = pairs.compactMap { key, type -> ReadParameter? in
      guard let parsed = pinnedType(type, "'args' of \(owner)") else {
        isRight = false
        return nil
      }
      return ReadParameter(
        parameter: Parameter(parsed.type, name: key?.text ?? key.map { _ in "" }), place: (key ?? type).place,
        field: parsed.field)
    }
    return isRight ? parameters : nil
  }

  private mutating func returns(_ node: YamlNode, _ owner: String) -> [ReadParameter]? {
    guard case .list(let items) = node.content else {
      let hint = node.isNull ? "[] for none" : "[\(node.text?.prefix(40) ?? "…")]"
      report(node.place, "'returns' of \(owner) must be a list of types, found \(node.kind) (write \(hint))")
      return nil
    }
    guard isArity(items.count, "'returns' of \(owner)", at: node.place) else { return nil }
    return items.compactMap { item in
      pinnedType(item, "'returns' of \(owner)").map {
        ReadParameter(parameter: Parameter($0.type), place: item.place, field: $0.field)
      }
    }
  }

  private mutating func isArity(_ count: Int, _ what: String, at place: Place) -> Bool {
    bound(count, "types in \(what)", WireLimits.arityMax, at: place)
    return count <= WireLimits.arityMax
  }

  mutating func type(_ node: YamlNode, _ what: String) -> ValueType? {
    guard let text = node.text, !node.isNull else {
      let hint = node.isNull ? "; 'None' in quotes is the type of no value" : ""
      report(node.place, "missing type in \(what), found \(node.kind)\(hint)")
      return nil
    }
    do throws(ValueType.SyntaxError) {
      let type = try ValueType(parsing: text)
      guard !type.mentionsUnknown else {
        report(node.place, "'?' cannot be declared, in \(what); 'Any' takes every value")
        return nil
      }
      return type
    } catch {
      let rest = String(decoding: text.utf8.dropFirst(error.offset), as: UTF8.self)
      let word = String(rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
      report(
        node.place(atByte: error.offset), "\(error.message), in \(what)",
        suggestion: Self.meantType(word))
      return nil
    }
  }

  /// The type somebody meant who knows it by another language's name.
  private static func meantType(_ word: String) -> String? {
    guard !word.isEmpty, !ValueType.names.contains(word) else { return nil }
    let others = [
      "string": "str", "text": "str", "integer": "int", "long": "int", "int64": "int", "double": "float",
      "number": "float", "boolean": "bool", "array": "List", "tuple": "List", "set": "List", "map": "Dict",
      "object": "Dict", "null": "None", "void": "None", "bytearray": "bytes", "binary": "bytes",
    ]
    return others[word.lowercased()] ?? Spelling.nearest(to: word, in: ValueType.names)
  }

  private mutating func checkNames(of parameters: [ReadParameter], _ owner: String) {
    var seen: [String: Place] = [:]
    for item in parameters {
      guard let name = item.parameter.name else { continue }
      guard Names.isIdentifier(name) else {
        report(
          item.place,
          "invalid argument name '\(name.prefix(64))' in \(owner): it starts with a letter or '_' and holds "
            + "letters, digits and '_'")
        continue
      }
      _ = declareOnce(name, item.place, "argument", in: &seen)
    }
  }
}
