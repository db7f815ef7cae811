import RPCNetwork
import RPCProcedures
import RPCProto
import RPCWire

/// The JSON Schema of init.yaml, for editors: what the reader takes, from the reader's own tables. What a schema cannot
/// say, such as that a name is declared elsewhere, is the reader's alone.
package enum InitFileSchema {
  /// Draft 7, which editors' YAML servers read.
  package static var text: String {
    var text = ""
    write(document, indent: "", to: &text)
    return text + "\n"
  }

  private static var document: Value {
    .object([
      ("$schema", .string("http://json-schema.org/draft-07/schema#")),
      ("title", .string("init.yaml of SimpleRPC")),
      ("description", .string("The network, its services, and every procedure with its source.")),
      ("$ref", .string("#/definitions/file")),
      (
        "definitions",
        .object(
          tables.map { ($0.name, schema(of: $0.table)) } + [("type", typeSchema), ("name", nameSchema)])
      ),
    ])
  }

  private static let tables: [(name: String, table: KeyTable)] = [
    ("file", .file), ("network", .network), ("server", .server), ("client", .client), ("service", .service),
    ("procedure", .procedure), ("pinnedType", .pinnedType),
  ]

  // MARK: Maps

  private static func schema(of table: KeyTable) -> Value {
    var properties: [(String, Value)] = []
    var rules: [Value] = []
    for key in table.keys {
      for name in key.names {
        properties.append((name, schema(of: key.shape).described(key.text)))
      }
      guard key.names.count > 1 else { continue }
      // Two names of one key mean the same: one of them.
      rules.append(.object([("not", required(key.names))]))
      if key.isRequired { rules.append(.object([("anyOf", .list(key.names.map { required([$0]) }))])) }
    }
    if !table.atLeastOne.isEmpty {
      let names = table.atLeastOne.flatMap { table.key(named: $0)?.names ?? [] }
      rules.append(.object([("anyOf", .list(names.map { required([$0]) }))]))
    }
    var schema: [(String, Value)] = [
      ("type", .string("object")), ("properties", .object(properties)),
      ("additionalProperties", .bool(false)),
    ]
    let needed = table.keys.filter { $0.isRequired && $0.names.count == 1 }.map { $0.names[0] }
    if !needed.isEmpty { schema.append(("required", .list(needed.map { .string($0) }))) }
    if !rules.isEmpty { schema.append(("allOf", .list(rules))) }
    return .object(schema)
  }

  private static func required(_ names: [String]) -> Value {
    .object([("required", .list(names.map { .string($0) }))])
  }

  // MARK: Values

  private static func schema(of shape: ValueShape) -> Value {
    switch shape {
    case .text: return text(pattern: nil)
    case .port:
      return either(integer(1...Int(UInt16.max)), text(pattern: "^[+]?0*[1-9][0-9]{0,4}$", only: true))
    case .flag: return .object([("type", .string("boolean"))])
    case .network:
      let ports = list(of: schema(of: .port), most: NetworkAccess.portsMax)
      return either(schema(of: .flag), ports.adding("minItems", .int(1)).adding("uniqueItems", .bool(true)))
    case .duration:
      let least = 0.0005
      let most = DeploymentLimits.timeoutMillisecondsMax / 1000
      return either(
        .object([("type", .string("number")), ("minimum", .float(least)), ("maximum", .int(Int64(most)))]),
        text(pattern: quantity(InitFileReader.timeUnits), only: true))
    case .size:
      return either(
        integer(DeploymentLimits.memoryBytesMin...DeploymentLimits.memoryBytesMax),
        text(pattern: quantity(InitFileReader.sizeUnits), only: true))
    case .choice(let words): return .object([("enum", .list(words.map { .string($0) }))])
    case .number(let range): return either(integer(range), text(pattern: "^[+]?[0-9]+$", only: true))
    case .methodName:
      return text(pattern: "^[A-Za-z_][A-Za-z0-9_]*$", only: true, most: WireLimits.nameBytesMax)
    case .version:
      // What stands there without quotes is a number to an editor.
      return either(
        text(pattern: "^3[.](0|[1-9][0-9]{0,2})$", only: true),
        .object([("type", .string("number")), ("minimum", .int(3)), ("exclusiveMaximum", .int(4))]))
    case .fieldNumber:
      // What protobuf keeps for itself.
      return integer(1...ProtoLimits.fieldNumberMax).adding("not", integer(19_000...19_999))
    case .references:
      return list(of: text(pattern: nil)).adding("uniqueItems", .bool(true))
    case .paths:
      return list(of: text(pattern: "^/.", only: true, most: Confinement.pathBytesMax))
        .adding("maxItems", .int(Int64(Confinement.pathsMax)))
    case .type: return reference("type")
    case .results:
      return list(of: either(reference("type"), reference("pinnedType")), most: WireLimits.arityMax)
    case .parameters:
      let value = either(reference("type"), reference("pinnedType"))
      let named: Value = .object([
        ("type", .string("object")), ("propertyNames", identifierSchema), ("additionalProperties", value),
      ])
      return either(list(of: .object([("anyOf", .list([value, named]))]), most: WireLimits.arityMax), named)
    case .table(let table):
      return reference(tables.first { $0.table.names == table.names }?.name ?? "file")
    case .entries(let shape):
      let map: Value = .object([
        ("type", .string("object")), ("propertyNames", reference("name")),
        ("additionalProperties", schema(of: shape)),
      ])
      return either(list(of: map), map)
    case .overloads(let shape):
      let one = schema(of: shape)
      return either(one, list(of: one))
    case .optional(let shape): return either(schema(of: shape), .object([("type", .string("null"))]))
    }
  }

  private static func either(_ shapes: Value...) -> Value { .object([("anyOf", .list(shapes))]) }

  private static func reference(_ name: String) -> Value {
    .object([("$ref", .string("#/definitions/\(name)"))])
  }

  private static func list(of item: Value, most: Int? = nil) -> Value {
    let list: Value = .object([("type", .string("array")), ("items", item)])
    return most.map { list.adding("maxItems", .int(Int64($0))) } ?? list
  }

  private static func integer(_ range: ClosedRange<Int>) -> Value {
    .object([
      ("type", .string("integer")), ("minimum", .int(Int64(range.lowerBound))),
      ("maximum", .int(Int64(range.upperBound))),
    ])
  }

  /// Numbers and words such as `true` are texts as well, unless a pattern says what the text looks like.
  private static func text(pattern: String?, only: Bool = false, most: Int? = nil) -> Value {
    var schema: [(String, Value)] = [
      ("type", only ? .string("string") : .list(["string", "number", "boolean"].map { .string($0) }))
    ]
    if let pattern { schema.append(("pattern", .string(pattern))) }
    if let most { schema.append(("maxLength", .int(Int64(most)))) }
    return .object(schema)
  }

  /// A number with a unit.
  private static func quantity(_ units: [String: Double]) -> String {
    "^[0-9]+(\\.[0-9]+)? *(\(units.keys.filter { !$0.isEmpty }.sorted().joined(separator: "|")))?$"
  }

  private static var nameSchema: Value {
    text(pattern: "^[A-Za-z_][A-Za-z0-9_-]*$", only: true, most: WireLimits.nameBytesMax)
  }

  private static var identifierSchema: Value {
    text(pattern: "^[A-Za-z_][A-Za-z0-9_]*$", only: true, most: WireLimits.nameBytesMax)
  }

  /// The outermost part of a type: what is inside brackets may nest, which no pattern can follow.
  private static var typeSchema: Value {
    let plain = ValueType.names.filter { !["List", "Dict", "Optional"].contains($0) }
    let pattern =
      "^ *(\(plain.joined(separator: "|"))|(List|list|Optional) *\\[.+\\]|(Dict|dict) *\\[ *str *,.+\\]) *$"
    return text(pattern: pattern, only: true, most: WireLimits.typeTextBytesMax)
      .described("int, float, str, bool, bytes, None, Any, List[T], Dict[str, T], Optional[T]")
  }

  // MARK: Text

  /// JSON as people read it.
  private static func write(_ value: Value, indent: String, to text: inout String) {
    let inner = indent + "  "
    switch value {
    case .map(let entries) where !entries.isEmpty:
      text += "{\n"
      for (index, entry) in entries.enumerated() {
        text += inner
        write(.string(entry.key), indent: "", to: &text)
        text += ": "
        write(entry.value, indent: inner, to: &text)
        text += index == entries.count - 1 ? "\n" : ",\n"
      }
      text += indent + "}"
    case .list(let items) where items.contains { if case .map = $0 { true } else { false } }:
      text += "[\n"
      for (index, item) in items.enumerated() {
        text += inner
        write(item, indent: inner, to: &text)
        text += index == items.count - 1 ? "\n" : ",\n"
      }
      text += indent + "]"
    default:
      var bytes = ByteQueue()
      bytes.appendJSON(value)
      text += String(decoding: bytes.copy(), as: UTF8.self)
    }
  }
}

extension Value {
  fileprivate static func object(_ entries: [(String, Value)]) -> Value {
    .map(entries.map { Value.Entry($0.0, $0.1) })
  }

  /// What stands beside a reference does not count in draft 7, so it is put into a list of its own.
  fileprivate func described(_ text: String) -> Value {
    let schema = self["$ref"] == nil ? self : .object([("allOf", .list([self]))])
    return schema.adding("description", .string(text))
  }

  fileprivate func adding(_ key: String, _ value: Value) -> Value {
    guard case .map(let entries) = self else { return self }
    return .map(entries + [Value.Entry(key, value)])
  }
}
