internal import RPCWire

/// Who put a generation or a topology in force, and when. It is kept beside what it is about, so that the same content
/// deployed twice keeps one digest.
package struct DeploymentRecord: Hashable, Sendable {
  /// The transaction that committed it: a repeated commit is recognized by it, also after a restart.
  package var transaction: String
  package var who: String
  /// Milliseconds since 1970.
  package var preparedMilliseconds: Int
  /// The generation that was in force before, if any.
  package var parent: Int?
  /// The number of the topology that a generation was deployed with.
  package var topology: Int?
  /// The digest of the manifest or topology, which tells a damaged one from a whole one.
  package var digest: String
  /// What the deployer signed; nil in what versions up to 1.1.0 wrote.
  package var signed: SignedStatement?

  package init(
    transaction: String, who: String, preparedMilliseconds: Int, digest: String, parent: Int? = nil,
    topology: Int? = nil, signed: SignedStatement? = nil
  ) {
    self.digest = digest
    self.transaction = transaction
    self.who = who
    self.preparedMilliseconds = preparedMilliseconds
    self.parent = parent
    self.topology = topology
    self.signed = signed
  }

  /// Lines of `key value`, which people read too.
  package var text: String {
    var text = "digest \(digest)\ntransaction \(transaction)\nwho \(Self.oneLine(who))\n"
    text += "prepared_ms \(preparedMilliseconds)\n"
    if let parent { text += "parent \(parent)\n" }
    if let topology { text += "topology \(topology)\n" }
    if let signed {
      text += "deployment \(signed.origin.id) \(signed.origin.serial)\n"
      text += "statement \(Base64.encode(signed.bytes))\nsignature \(Base64.encode(signed.signature))\n"
    }
    return text
  }

  /// - Throws: `malformed`, or `untrusted` where the deployer's signature does not hold.
  package init(text: String) throws(DeploymentError) {
    var fields: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw Self.unreadable }
      fields[parts[0]] = parts[1]
    }
    guard let digest = fields["digest"], let transaction = fields["transaction"], let who = fields["who"],
      let milliseconds = fields["prepared_ms"].flatMap({ Int($0) })
    else { throw Self.unreadable }
    self.init(
      transaction: String(transaction), who: String(who), preparedMilliseconds: milliseconds,
      digest: String(digest), parent: fields["parent"].flatMap { Int($0) },
      topology: fields["topology"].flatMap { Int($0) })
    guard let statement = fields["statement"] else { return }
    guard let bytes = Base64.decode(statement),
      let signature = fields["signature"].flatMap({ Base64.decode($0) })
    else { throw Self.unreadable }
    signed = try SignedStatement(bytes: bytes, signature: signature)
    guard self.text.hasSameUTF8(as: text) else { throw Self.unreadable }
  }

  private static let unreadable = DeploymentError(.malformed, "its record is not readable")

  static func oneLine(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
  }
}
