internal import Glibc

/// Paths that mean the same wherever a process stands.
package enum WholePath {
  package static func of(_ path: String) -> String {
    guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
    defer { free(here) }
    return "\(String(cString: here))/\(path)"
  }

  /// Why a path that a person named is not one of a folder, to be said behind the name of its flag; nil where it is.
  package static func problem(ofFolder path: String) -> String? {
    guard path.hasPrefix("/") else { return "takes whole paths, not '\(path)'" }
    var status = stat()
    guard stat(path, &status) == 0 else {
      return "names '\(path)', which cannot be read: \(String(cString: strerror(errno)))"
    }
    return status.st_mode & S_IFMT == S_IFDIR ? nil : "names '\(path)', which is not a directory"
  }
}
