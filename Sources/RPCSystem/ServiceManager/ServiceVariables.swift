internal import Glibc

/// The variables by which a service manager tells a program what it has for it.
package enum ServiceVariables {
  /// Those that are set and not empty; all of them are removed, since they are for this process alone. Call it before
  /// other threads run.
  static func take(_ names: [String]) -> [String: String] {
    var found: [String: String] = [:]
    for name in names {
      found[name] = value(name)
      unsetenv(name)
    }
    return found
  }

  /// The first of the directories that a variable such as `STATE_DIRECTORY` lists; nil for none.
  package static func directory(_ name: String) -> String? {
    value(name)?.split(separator: ":").first.map(String.init)
  }

  private static func value(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
  }
}
