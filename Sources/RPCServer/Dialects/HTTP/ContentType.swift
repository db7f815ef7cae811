/// The media type of a body, without its parameters, in lower case.
package struct ContentType: Hashable, Sendable {
  package let mediaType: String
  /// `charset`, in lower case, where it is given.
  package let charset: String?

  package init(_ text: String) {
    let parts = text.split(separator: ";", omittingEmptySubsequences: false)
    mediaType = Self.trimmed(parts.first ?? "").lowercased()
    charset = parts.dropFirst().lazy.map { Self.trimmed($0).lowercased() }
      .first { $0.hasPrefix("charset=") }
      .map { $0.dropFirst(8).filter { $0 != "\"" } }
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }

  /// Whether a page may send it to another origin without asking first (Fetch, "CORS-safelisted request-header"): such a
  /// request is never a call.
  package var isSimple: Bool {
    switch mediaType {
    case "", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded": true
    default: false
    }
  }
}
