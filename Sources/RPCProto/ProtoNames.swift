package import RPCWire

/// How services, procedures and arguments are called in protobuf.
package enum ProtoNames {
  /// A name as protobuf takes it: hyphens become underscores.
  package static func identifier(_ name: String) -> String {
    String(decoding: name.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
  }

  /// `add_all` → `AddAll`: how messages are called after methods, and entries of maps after fields.
  package static func camelCase(_ name: String) -> String {
    var result: [UInt8] = []
    var startsWord = true
    for byte in name.utf8 {
      if byte == UInt8(ascii: "_") {
        startsWord = true
      } else {
        let isLower = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z")
        result.append(startsWord && isLower ? byte - 32 : byte)
        startsWord = false
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// How the messages of a method begin.
  package static func messageName(of method: String) -> String {
    let name = camelCase(method)
    let isIdentifier = name.utf8.first.map { !(48...57).contains($0) } ?? false
    return isIdentifier ? name : "X" + name
  }

  /// What two fields of a message may not have in common: some languages and JSON call them so.
  package static func fieldKey(_ name: String) -> String { camelCase(name).lowercased() }

  /// `List[Optional[int]]` → `list_optional_int`: prefix notation, which needs no brackets.
  package static func spelled(_ type: ValueType) -> String {
    switch type {
    case .int: "int"
    case .float: "float"
    case .string: "str"
    case .bool: "bool"
    case .bytes: "bytes"
    case .none: "none"
    case .any, .unknown: "any"
    case .list(let element): "list_" + spelled(element)
    case .dict(let element): "dict_" + spelled(element)
    case .optional(let wrapped): "optional_" + spelled(wrapped)
    }
  }

  /// What tells an overload from the others of its name: `concat__int_str`.
  package static func overload(_ name: String, _ types: [ValueType]) -> String {
    "\(identifier(name))__" + (types.isEmpty ? "noargs" : types.map(spelled).joined(separator: "_"))
  }

  /// What is wrong with an identifier that a file gives, or nil.
  package static func problem(with name: String) -> String? {
    guard let first = name.utf8.first else { return "a name cannot be empty" }
    guard name.utf8.count <= WireLimits.nameBytesMax else {
      return "a name of \(name.utf8.count) bytes, the limit is \(WireLimits.nameBytesMax)"
    }
    func isLetter(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: "_") || (byte | 32) >= 97 && (byte | 32) <= 122
    }
    guard isLetter(first), name.utf8.allSatisfy({ isLetter($0) || $0 >= 48 && $0 <= 57 }) else {
      return "a name in gRPC starts with a letter or '_' and holds letters, digits and '_'"
    }
    return nil
  }

  /// Services that gRPC's own and protobuf's are in.
  package static let reservedServices = ["google", "grpc"]

  /// The package of a service's messages: it cannot have the service's own name.
  package static func package(of service: String) -> String { service + packageEnding }

  /// The service whose messages are in a package, or nil where it is no such package.
  package static func service(ofPackage name: String) -> String? {
    name.hasSuffix(packageEnding) ? String(name.dropLast(packageEnding.utf8.count)) : nil
  }

  private static let packageEnding = "_types"
}
