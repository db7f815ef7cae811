import Glibc

/// The environment's variables.
enum Environment {
  /// Nil when it is not set, or set to nothing.
  static subscript(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }

  static func isSet(_ name: String) -> Bool { self[name] != nil }

  /// A file below one of the XDG directories: `$XDG_STATE_HOME/rpc/history`, or its default place.
  static func xdg(_ variable: String, default folder: String, _ file: String) -> String? {
    // The specification says that relative paths are to be ignored.
    if let base = self[variable], base.hasPrefix("/") { return base + "/rpc/" + file }
    guard let home = self["HOME"] else { return nil }
    return home + "/" + folder + "/rpc/" + file
  }
}
