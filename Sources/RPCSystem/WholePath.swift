internal import Glibc

/// Paths that mean the same wherever a process stands.
package enum WholePath {
  package static func of(_ path: String) -> String {
    guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
    defer { free(here) }
    return "\(String(cString: here))/\(path)"
  }
}
