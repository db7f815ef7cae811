import RPCProcedures
import RPCWire

/// Chooses among the overloads of a procedure by the values given. Pure: the same for a call, a hint and a test.
enum OverloadResolver {
  struct Choice: Hashable, Sendable {
    var procedure: Procedure
    /// In the order of the parameters.
    var values: [Value]
    /// Every overload that would have taken the values, the chosen one included.
    var viable: [Procedure]

    /// Nobody could have expected another one.
    var isObvious: Bool { viable.count == 1 }
  }

  enum Failure: Error, Hashable, Sendable {
    /// None fits: what is wrong with the one that comes nearest.
    case none(nearest: Procedure, issue: Issue)
    /// Several fit equally well.
    case ambiguous([Procedure])

    var issue: Issue? { if case .none(_, let issue) = self { issue } else { nil } }
  }

  /// - Precondition: `overloads` is not empty.
  static func choose(_ arguments: [Argument], among overloads: [Procedure]) throws(Failure) -> Choice {
    var viable: [(procedure: Procedure, values: [Value], cost: Int)] = []
    var nearest: (procedure: Procedure, issue: Issue, fitted: Int)?
    for procedure in overloads {
      let attempt = attempt(arguments, procedure.signature)
      switch attempt {
      case .fits(let values, let cost): viable.append((procedure, values, cost))
      case .fails(let issue, let fitted):
        if fitted > nearest?.fitted ?? .min { nearest = (procedure, issue, fitted) }
      }
    }
    guard let cheapest = viable.map(\.cost).min() else {
      guard let nearest else { preconditionFailure("no overloads to choose from") }
      throw .none(nearest: nearest.procedure, issue: nearest.issue)
    }
    let best = viable.filter { $0.cost == cheapest }
    guard best.count == 1 else { throw .ambiguous(best.map(\.procedure)) }
    return Choice(procedure: best[0].procedure, values: best[0].values, viable: viable.map(\.procedure))
  }

  private enum Attempt {
    case fits([Value], cost: Int)
    /// `fitted` ranks the failures: how many arguments were right before something was wrong.
    case fails(Issue, fitted: Int)
  }

  private static func attempt(_ arguments: [Argument], _ signature: Signature) -> Attempt {
    switch ArgumentMatch.match(arguments, to: signature) {
    case .failure(let failure): return .fails(failure.issue, fitted: failure.fitted)
    case .success(let match):
      // The right number of arguments says more than any one of them.
      let arity = match.missing.isEmpty ? 1000 : 0
      var values: [Value] = []
      var cost = 0
      var fitted = arity
      var issue: Issue?
      for (parameter, position) in zip(signature.parameters, match.positions) {
        guard let position else { continue }
        do throws(FitError) {
          let fit = try arguments[position].literal.fit(parameter.type)
          values.append(fit.value)
          cost += fit.cost
          fitted += 1
        } catch {
          let name = parameter.name.map { " for '\($0)'" } ?? ""
          if issue == nil { issue = Issue(error.span, error.message + name) }
        }
      }
      if let issue { return .fails(issue, fitted: fitted) }
      if let missing = match.missing.first {
        let end = arguments.last?.span.upperBound ?? 0
        let parameter = signature.parameters[missing]
        return .fails(Issue(end..<end, "missing argument '\(parameter)'"), fitted: fitted)
      }
      return .fits(values, cost: cost)
    }
  }
}

/// Which argument goes to which parameter: positions first, names behind them.
struct ArgumentMatch: Hashable, Sendable {
  /// For each parameter the index of its argument.
  var positions: [Int?]

  /// Indices of the parameters without an argument.
  var missing: [Int] { positions.indices.filter { positions[$0] == nil } }

  struct Failure: Error, Hashable, Sendable {
    var issue: Issue
    var fitted: Int
  }

  static func match(_ arguments: [Argument], to signature: Signature) -> Result<ArgumentMatch, Failure> {
    let parameters = signature.parameters
    var positions = [Int?](repeating: nil, count: parameters.count)
    var named = false
    var next = 0
    for (index, argument) in arguments.enumerated() {
      if let name = argument.name {
        named = true
        guard let parameter = parameters.firstIndex(where: { $0.name == name }) else {
          let names = parameters.compactMap(\.name)
          let advice =
            names.isEmpty
            ? "; its arguments have no names (quote '\(argument.text)' for text)"
            : Suggestion.text(for: name, among: names)
          return .failure(
            Failure(issue: Issue(argument.span, "unknown argument '\(name)'\(advice)"), fitted: index - 1)
          )
        }
        guard positions[parameter] == nil else {
          return .failure(Failure(issue: Issue(argument.span, "'\(name)' is given twice"), fitted: index - 1))
        }
        positions[parameter] = index
      } else {
        guard !named else {
          return .failure(
            Failure(
              issue: Issue(argument.span, "an argument without a name follows one with a name"),
              fitted: index - 1))
        }
        guard next < parameters.count else {
          let count =
            parameters.isEmpty
            ? "none" : "\(parameters.count)"
          return .failure(
            Failure(
              issue: Issue(argument.span, "too many arguments: \(signature.name) takes \(count)"), fitted: -1)
          )
        }
        positions[next] = index
        next += 1
      }
    }
    return .success(ArgumentMatch(positions: positions))
  }
}
