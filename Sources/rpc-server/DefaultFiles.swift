import Glibc
import RPCSystem

/// Where a server's files are unless flags say so: where the service manager gave it directories, in those.
enum DefaultFiles {
  static func dataDirectory(host: String, port: Int) -> String {
    if let directory = ServiceVariables.directory("STATE_DIRECTORY") { return directory }
    func variable(_ name: String) -> String? {
      guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
      return value
    }
    let state = variable("XDG_STATE_HOME") ?? variable("HOME").map { "\($0)/.local/state" } ?? "."
    let name = String(host.map { $0 == "/" || $0 == ":" ? "_" : $0 })
    return "\(state)/simplerpc/\(name)-\(port)"
  }

  /// nil for the deploy key of the user: a service may have none, and no home for it.
  static var deployers: String? {
    ServiceVariables.directory("CONFIGURATION_DIRECTORY").map { "\($0)/deployers" }
  }
}
