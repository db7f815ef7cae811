internal import RPCWire

/// Why none of a procedure's overloads takes a call: the cause, as precisely as it can be said.
internal struct OverloadMismatch: CustomStringConvertible {
  let arguments: [ValueType]
  let returns: [ValueType]?
  let overloads: [Signature]

  var description: String {
    let taking = overloads.filter { $0.conversionCost(from: arguments) != nil }
    if !taking.isEmpty { return wrongReturns(taking) }
    let sameCount = overloads.filter { $0.parameters.count == arguments.count }
    return sameCount.isEmpty ? wrongCount : wrongTypes(sameCount)
  }

  // MARK: How many

  private var wrongCount: String {
    let counts = Set(overloads.map(\.parameters.count)).sorted()
    guard counts.count == 1, let count = counts.first, let parameters = overloads.first?.parameters else {
      return "wrong number of arguments: expected \(Self.alternatives(counts.map(String.init))), "
        + "found \(arguments.count)"
    }
    if arguments.count > count {
      return "too many arguments: expected \(count == 0 ? "none" : "\(count)"), found \(arguments.count)"
    }
    let missing = parameters.indices.dropFirst(arguments.count).map { index in
      overloads.count == 1
        ? "'\(parameters[index])'" : "\(index + 1) (\(types(at: index, of: overloads)))"
    }
    return "missing argument\(missing.count == 1 ? "" : "s") \(English.list(missing, max: 8))"
  }

  // MARK: Of which types

  private func wrongTypes(_ overloads: [Signature]) -> String {
    // What no overload takes is wrong whichever was meant.
    let wrong = arguments.indices.filter { index in
      overloads.allSatisfy { $0.parameters[index].type.conversionCost(from: arguments[index]) == nil }
    }
    guard !wrong.isEmpty else {
      return "no overload takes (\(arguments.map(\.description).joined(separator: ", ")))"
    }
    let most = 4
    let causes = wrong.prefix(most).map { index in
      let name = overloads.count == 1 ? overloads[0].parameters[index].name.map { " '\($0)'" } ?? "" : ""
      return "wrong type of argument \(index + 1)\(name): expected \(types(at: index, of: overloads)), "
        + "found \(arguments[index])"
    }
    let rest = wrong.count > most ? "; and \(wrong.count - most) more" : ""
    return causes.joined(separator: "; ") + rest
  }

  private func wrongReturns(_ overloads: [Signature]) -> String {
    guard let returns, !overloads.contains(where: { $0.returnsFit(returns) }) else {
      // Its types fit, the values themselves do not.
      return "no overload takes (\(arguments.map(\.description).joined(separator: ", ")))"
    }
    func list(_ types: [ValueType]) -> String { "(\(types.map(\.description).joined(separator: ", ")))" }
    let declared = Self.distinct(overloads.map { list($0.returns) })
    return "wrong return types: the procedure returns \(Self.alternatives(declared)), the call expects "
      + list(returns)
  }

  // MARK: Spelling

  private func types(at index: Int, of overloads: [Signature]) -> String {
    Self.alternatives(Self.distinct(overloads.map { $0.parameters[index].type.description }))
  }

  private static func distinct(_ texts: [String]) -> [String] {
    var seen = Set<String>()
    return texts.filter { seen.insert($0).inserted }
  }

  /// `int`, `int or str`, `int, str or bool`.
  private static func alternatives(_ texts: [String]) -> String {
    guard texts.count > 1 else { return texts.first ?? "nothing" }
    return texts.dropLast().joined(separator: ", ") + " or " + texts[texts.count - 1]
  }
}
