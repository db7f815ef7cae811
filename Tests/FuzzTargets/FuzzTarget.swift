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
  /// A topology that an initializer sends.
  case topology
  /// An init.yaml.
  case initFile = "init-file"
  /// A source that an init.yaml names.
  case outline
  /// The record of a deployment on disk.
  case record
  /// What a deployer signs of a deployment.
  case statement
  /// Arguments and answers of the service `system`.
  case system
  /// An IP address or network.
  case address
  /// A public or a private key.
  case key
  /// A value on its way into a Lua procedure and out of it.
  case luaValue = "lua-value"
  /// A Lua source.
  case luaSource = "lua-source"
  /// Lines of the shell.
  case shell
  /// A recorded session of the shell.
  case recording
  /// The shell's history.
  case history
  /// Requests of HTTP/1.1.
  case http1
  /// What gRPC and HTTP write as text: percent-coding, gRPC-Web's base64, timeouts.
  case webText = "web-text"
  /// Frames of HTTP/2 and blocks of header fields, behind the preface.
  case http2
  /// A message of protobuf: read as arguments, and its values written again.
  case proto
  /// TLS, with hostile bytes before, in and after the handshake.
  case tls
  /// All that a client sends over a connection.
  case session
  /// All that a server sends over a connection.
  case client

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
    case .topology: try DeploymentTargets.topology(bytes)
    case .initFile: try DeploymentTargets.initFile(bytes)
    case .outline: try DeploymentTargets.outline(bytes)
    case .record: try DeploymentTargets.record(bytes)
    case .statement: try DeploymentTargets.statement(bytes)
    case .system: try DeploymentTargets.system(bytes)
    case .address: try DeploymentTargets.address(bytes)
    case .key: try KeyTargets.key(bytes)
    case .luaValue: try LuaTargets.values(bytes)
    case .luaSource: try LuaTargets.source(bytes)
    case .shell: try ShellTargets.shell(bytes)
    case .recording: try ShellTargets.recording(bytes)
    case .history: try ShellTargets.history(bytes)
    case .http1: try HTTPTargets.http1(bytes)
    case .webText: try WebTextTarget.text(bytes)
    case .http2: try SessionTarget.http2(bytes)
    case .proto: try ProtoTargets.message(bytes)
    case .tls: try TLSTarget.tls(bytes)
    case .session: try SessionTarget.session(bytes)
    case .client: try ClientTarget.client(bytes)
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
