internal import RPCWire

/// What servers, clients, services, procedures, functions and arguments may be called.
package enum Names {
  /// The service that every server has built in.
  package static let reservedService = "system"

  /// A letter or underscore, then letters, digits, underscores and hyphens.
  package static func isValid(_ name: String) -> Bool {
    problem(with: name) == nil
  }

  /// What is wrong with a name, or nil.
  package static func problem(with name: String) -> String? {
    if name.isEmpty { return "a name cannot be empty" }
    if name.utf8.count > WireLimits.nameBytesMax {
      return "a name of \(name.utf8.count) bytes, the limit is \(WireLimits.nameBytesMax)"
    }
    var isFirst = true
    for scalar in name.unicodeScalars {
      if !isAllowed(scalar, first: isFirst) {
        return isFirst
          ? "a name starts with a letter or '_', not with '\(scalar.escaped(asASCII: false))'"
          : "a name holds letters, digits, '_' and '-', not '\(scalar.escaped(asASCII: false))'"
      }
      isFirst = false
    }
    return nil
  }

  /// Whether it can name a function or an argument in Python and Lua.
  package static func isIdentifier(_ name: String) -> Bool {
    isValid(name) && !name.utf8.contains(UInt8(ascii: "-"))
  }

  private static func isAllowed(_ scalar: Unicode.Scalar, first: Bool) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "_": true
    case "0"..."9", "-": !first
    default: false
    }
  }
}
