public import RPCWire

/// One declared argument: its type and, where the file gives one, its name.
public struct Parameter: Hashable, Sendable {
  @ComparedByUTF8 public var name: String?
  public var type: ValueType

  public init(_ type: ValueType, name: String? = nil) {
    self.type = type
    self.name = name
  }
}

extension Parameter: CustomStringConvertible {
  /// `a: int`, or `int` when it has no name.
  public var description: String { name.map { "\($0): \(type)" } ?? "\(type)" }
}

/// What identifies a procedure and what it takes and returns. Service, name and argument types identify it;
/// the rest may change from one generation to the next.
public struct Signature: Hashable, Sendable {
  @ComparedByUTF8 public var service: String
  @ComparedByUTF8 public var name: String
  public var parameters: [Parameter]
  public var returns: [ValueType]

  public init(service: String, name: String, parameters: [Parameter], returns: [ValueType]) {
    self.service = service
    self.name = name
    self.parameters = parameters
    self.returns = returns
  }

  /// `math.add`.
  public var qualifiedName: String { "\(service).\(name)" }

  package var parameterTypes: [ValueType] { parameters.map(\.type) }

  /// Why a list of argument types does not fit, or how well it does (smaller is better).
  package func conversionCost(from arguments: [ValueType]) -> Int? {
    guard arguments.count == parameters.count else { return nil }
    var total = 0
    for (parameter, argument) in zip(parameters, arguments) {
      guard let cost = parameter.type.conversionCost(from: argument) else { return nil }
      total += cost
    }
    return total
  }

  /// Whether a caller that is ready for `expected`, nil for whatever comes, can take what is declared.
  package func returnsFit(_ expected: [ValueType]?) -> Bool {
    guard let expected else { return true }
    return returns.count == expected.count
      && zip(returns, expected).allSatisfy { declared, expected in
        // A declared Any may turn out to be what was expected.
        declared == expected || declared == .any || expected.conversionCost(from: declared) != nil
      }
  }
}

extension Signature: CustomStringConvertible {
  /// `math.add(a: int, b: int) -> int`, the spelling of every message and table.
  public var description: String {
    let arguments = parameters.map(\.description).joined(separator: ", ")
    let result =
      switch returns.count {
      case 0: "None"
      case 1: returns[0].description
      default: "(" + returns.map(\.description).joined(separator: ", ") + ")"
      }
    return "\(qualifiedName)(\(arguments)) -> \(result)"
  }
}
