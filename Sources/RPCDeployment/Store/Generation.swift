/// One complete deployment of a server, as it is on disk: never changed once it is there.
package struct Generation: Hashable, Sendable {
  /// Counts the deployments of this server; never used twice.
  package let serial: Int
  package let manifest: Manifest
  /// The manifest's digest.
  package let digest: String
  package let record: DeploymentRecord
}

/// Who put a generation in force, and when. It is kept beside the manifest, so that the same content deployed
/// twice keeps one digest.
package struct DeploymentRecord: Hashable, Sendable {
  /// The transaction that committed it: a repeated commit is recognized by it, also after a restart.
  package var transaction: String
  package var who: String
  /// Milliseconds since 1970.
  package var preparedMilliseconds: Int
  /// The generation that was in force before, if any.
  package var parent: Int?
  /// The digest of the manifest, which tells a damaged one from a whole one.
  package var digest: String

  package init(
    transaction: String, who: String, preparedMilliseconds: Int, digest: String, parent: Int? = nil
  ) {
    self.digest = digest
    self.transaction = transaction
    self.who = who
    self.preparedMilliseconds = preparedMilliseconds
    self.parent = parent
  }

  /// Lines of `key value`, which people read too.
  package var text: String {
    var text = "digest \(digest)\ntransaction \(transaction)\nwho \(Self.oneLine(who))\n"
    text += "prepared_ms \(preparedMilliseconds)\n"
    if let parent { text += "parent \(parent)\n" }
    return text
  }

  package init?(text: String) {
    var fields: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      fields[parts[0]] = parts[1]
    }
    guard let digest = fields["digest"], let transaction = fields["transaction"], let who = fields["who"],
      let milliseconds = fields["prepared_ms"].flatMap({ Int($0) })
    else { return nil }
    self.init(
      transaction: String(transaction), who: String(who), preparedMilliseconds: milliseconds,
      digest: String(digest), parent: fields["parent"].flatMap { Int($0) })
  }

  static func oneLine(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
  }
}
