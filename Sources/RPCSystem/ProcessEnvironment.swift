internal import Glibc

/// What this process was started with.
package enum ProcessEnvironment {
  /// Every variable by its name; of one that is there twice the first counts, as with `getenv`.
  package static var variables: [String: String] {
    var found: [String: String] = [:]
    guard var entry = UnsafePointer(environ) else { return found }
    while let text = entry.pointee.map({ String(cString: $0) }) {
      entry += 1
      guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let name = String(text[..<equals])
      if found[name] == nil { found[name] = String(text[text.utf8.index(after: equals)...]) }
    }
    return found
  }
}
