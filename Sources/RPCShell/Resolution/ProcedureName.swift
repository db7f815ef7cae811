import RPCProcedures
import RPCWire

/// How a procedure is named on a line: `service.rpc`, `rpc` alone, or with the types of one overload
/// `service.rpc(int, str)`.
struct ProcedureName: Hashable, Sendable {
  var service: String?
  var name: String
  var overload: [ValueType]?

  init?(_ text: String) throws(FitError) {
    var base = Substring(text)
    var types: [ValueType]?
    if let open = text.firstIndex(of: "("), open != text.startIndex {
      guard text.last == ")" else { return nil }
      base = text[..<open]
      types = try Self.types(text[text.index(after: open)...].dropLast())
    }
    guard !base.isEmpty else { return nil }
    if let dot = base.lastIndex(of: "."), dot != base.startIndex {
      service = String(base[..<dot])
      name = String(base[base.index(after: dot)...])
    } else {
      name = String(base)
    }
    overload = types
  }

  /// The types between the parentheses, at commas outside brackets.
  private static func types(_ text: Substring) throws(FitError) -> [ValueType] {
    guard text.contains(where: { $0 != " " }) else { return [] }
    var result: [ValueType] = []
    var depth = 0
    var part = ""
    for character in text + "," {
      if character == ",", depth == 0 {
        do throws(ValueType.SyntaxError) {
          // A parameter may be written with its name, as `describe` shows it.
          let type = part.split(separator: ":", maxSplits: 1).last.map(String.init) ?? part
          result.append(try ValueType(parsing: type))
        } catch {
          throw FitError(0..<0, error.message)
        }
        part = ""
        continue
      }
      if character == "[" { depth += 1 }
      if character == "]" { depth -= 1 }
      part.append(character)
    }
    return result
  }

  var qualified: String { service.map { "\($0).\(name)" } ?? name }

  func matches(_ signature: Signature) -> Bool {
    signature.name.hasSameUTF8(as: name) && (service?.hasSameUTF8(as: signature.service) ?? true)
      && (overload == nil || overload == signature.parameterTypes)
  }
}
