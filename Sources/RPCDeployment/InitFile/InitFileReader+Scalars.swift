import RPCProcedures
import RPCWire

/// The values that keys have.
extension InitFileReader {
  /// A text; numbers and words are texts as well.
  mutating func text(_ node: YamlNode, _ what: String) -> String? {
    guard let text = node.text, !node.isNull else {
      report(node.place, "\(what) must be a text, found \(node.kind)")
      return nil
    }
    guard !text.utf8.contains(0) else {
      report(node.place, "\(what) holds a NUL character")
      return nil
    }
    return text
  }

  mutating func port(_ node: YamlNode) -> UInt16? {
    guard let text = node.text, let digits = Self.integer(text) else {
      report(node.place, "'port' must be a number from 1 to 65535, found \(node.kind)")
      return nil
    }
    guard let port = digits.flatMap({ UInt16(exactly: $0) }), port > 0 else {
      report(node.place, "'port' must be from 1 to 65535, found \(text.prefix(40))")
      return nil
    }
    return port
  }

  mutating func flag(_ node: YamlNode, _ what: String) -> Bool? {
    switch node.isPlain ? node.text : nil {
    case "true", "True", "TRUE": return true
    case "false", "False", "FALSE": return false
    default:
      report(node.place, "'\(what)' must be true or false, found \(node.kind)")
      return nil
    }
  }

  /// `500ms`, `2s`, `1.5m`, `1h`, or a number of seconds.
  mutating func milliseconds(_ node: YamlNode) -> Int? {
    let most = DeploymentLimits.timeoutMillisecondsMax
    guard let text = node.text,
      let value = Self.quantity(text, Self.timeUnits)
    else {
      report(node.place, "'timeout' must be a duration such as 500ms, 2s or 1m, found \(node.kind)")
      return nil
    }
    guard value >= 1, value <= Double(most) else {
      report(node.place, "'timeout' must be from 1ms to \(most / 3_600_000)h, found \(text.prefix(40))")
      return nil
    }
    return Int(value)
  }

  /// `64MiB`, `1GiB`, `64MB`, or a number of bytes.
  mutating func bytes(_ node: YamlNode) -> Int? {
    guard let text = node.text, let value = Self.quantity(text, Self.sizeUnits) else {
      report(node.place, "'memory' must be a size such as 64MiB or 1GiB, found \(node.kind)")
      return nil
    }
    guard value >= Double(DeploymentLimits.memoryBytesMin), value <= Double(DeploymentLimits.memoryBytesMax)
    else {
      report(node.place, "'memory' must be from 1MiB to 1024GiB, found \(text.prefix(40))")
      return nil
    }
    return Int(value)
  }

  /// The names of a list such as `providers`, each once.
  mutating func references(_ node: YamlNode, _ what: String, of owner: String) -> [Reference] {
    guard case .list(let items) = node.content else {
      let hint = node.text.map { " (write [\($0.prefix(40))])" } ?? ""
      report(node.place, "'\(what)' of \(owner) must be a list of names, found \(node.kind)\(hint)")
      return []
    }
    var references: [Reference] = []
    var seen: [UTF8Key: Place] = [:]
    for item in items {
      guard let name = item.text, !item.isNull else {
        report(item.place, "'\(what)' of \(owner) must hold names, found \(item.kind)")
        continue
      }
      if let first = seen[UTF8Key(name)] {
        report(
          item.place,
          "\(owner) names '\(name.prefix(64))' twice in '\(what)'; the first is at line \(first.line)")
        continue
      }
      seen[UTF8Key(name)] = item.place
      references.append(Reference(name: name, place: item.place))
    }
    return references
  }

  /// Decimal digits with or without a sign: nil where the text is something else, an inner nil where the number
  /// does not fit.
  private static func integer(_ text: String) -> Int?? {
    let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return .none }
    return .some(Int(text))
  }

  /// Milliseconds of each unit.
  static let timeUnits: [String: Double] = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "": 1000]
  /// Bytes of each unit.
  static let sizeUnits: [String: Double] = [
    "KiB": 1024, "MiB": 1_048_576, "GiB": 1_073_741_824, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1,
    "": 1,
  ]

  /// A number with a unit, in the smallest unit.
  private static func quantity(_ text: String, _ units: [String: Double]) -> Double? {
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = text[number.endIndex...].drop { $0 == " " }
    guard let factor = units[String(unit)], number.first != ".", number.last != ".",
      let value = Double(number)
    else { return nil }
    return (value * factor).rounded()
  }
}
