/// What can be fuzzed: each decoder that reads bytes from outside. `run` feeds it arbitrary bytes; refusing
/// them is fine, trapping is not, and neither is breaking one of the promises that each target checks.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// One MessagePack value.
  case value
  /// A stream of frames and their payloads.
  case frames
  /// MessagePack read as Swift types.
  case typed
  /// The text of a type.
  case type
  /// One JSON value.
  case json
  /// One line of the json dialect.
  case request
  /// An argument written as text.
  case text
  /// A manifest that an initializer sends.
  case manifest
  /// An init.yaml.
  case initFile = "init-file"

  public func run(_ bytes: [UInt8]) throws(BrokenPromise) {
    switch self {
    case .value: try WireTargets.value(bytes)
    case .frames: try WireTargets.frames(bytes)
    case .typed: try WireTargets.typed(bytes)
    case .type: try WireTargets.type(bytes)
    case .json: try TextTargets.json(bytes)
    case .request: try TextTargets.request(bytes)
    case .text: try TextTargets.text(bytes)
    case .manifest: try DeploymentTargets.manifest(bytes)
    case .initFile: try DeploymentTargets.initFile(bytes)
    }
  }
}

/// A decoder did not trap, but did not keep its word either.
public struct BrokenPromise: Error, CustomStringConvertible {
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}

func promise(_ kept: Bool, _ what: @autoclosure () -> String) throws(BrokenPromise) {
  if !kept { throw BrokenPromise(what()) }
}
