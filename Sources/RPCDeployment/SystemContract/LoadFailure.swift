package import RPCProcedures
package import RPCWire

/// A source that a server could not load when it prepared a deployment, with every procedure that it fails for the
/// same reason.
package struct LoadFailure: Hashable, Sendable {
  /// The source's SHA-256.
  package var digest: String
  /// The source file's last path component.
  package var sourceName: String
  /// Signatures, in the order of the manifest.
  package var procedures: [String]
  package var message: String
  /// File name and line, where the language said.
  package var place: String?

  package init(
    digest: String, sourceName: String, procedures: [String], message: String, place: String? = nil
  ) {
    self.digest = digest
    self.sourceName = sourceName
    self.procedures = procedures
    self.message = message
    self.place = place
  }

  /// One for each source and reason.
  package static func grouped(_ failures: [(procedure: Procedure, error: RPCError)]) -> [LoadFailure] {
    var groups: [LoadFailure] = []
    for (procedure, error) in failures {
      let signature = "\(procedure.signature)"
      if let index = groups.firstIndex(where: {
        $0.digest == procedure.digest && $0.message == error.message && $0.place == error.source
      }) {
        groups[index].procedures.append(signature)
      } else {
        groups.append(
          LoadFailure(
            digest: procedure.digest, sourceName: procedure.sourceName, procedures: [signature],
            message: error.message, place: error.source))
      }
    }
    return Array(groups.prefix(DeploymentLimits.loadFailuresMax))
  }

  /// `text.py:3: invalid syntax (text.join(List[str]) -> str and 19 more)`
  ///
  /// - Parameter path: the source as the file names it, where that is known.
  package func description(path: String? = nil) -> String {
    var shown = path ?? sourceName
    if let place {
      // A place is a file name and a line; the path replaces the name.
      shown = place.hasPrefix(sourceName) ? shown + place.dropFirst(sourceName.count) : place
    }
    let more = procedures.count > 1 ? " and \(procedures.count - 1) more" : ""
    return "\(shown): \(message) (\(procedures.first ?? "")\(more))"
  }
}

extension LoadFailure: SystemMap {
  package static let empty = LoadFailure(digest: "", sourceName: "", procedures: [], message: "")
  package static let fields: [SystemField<LoadFailure>] = [
    .init("digest", \.digest), .init("source_name", \.sourceName), .init("procedures", \.procedures),
    .init("message", \.message), .init("place", \.place),
  ]
}
