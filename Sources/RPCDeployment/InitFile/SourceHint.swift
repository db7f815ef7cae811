/// A guess about a source: shown where a server has refused that source, and of no effect otherwise.
package struct SourceHint: Hashable, Sendable {
  /// The source's file name, by which a server's error names it.
  package var sourceName: String
  /// Where the file names the function, and what was not found.
  package var diagnostic: Diagnostic

  package init(sourceName: String, diagnostic: Diagnostic) {
    self.sourceName = sourceName
    self.diagnostic = diagnostic
  }
}
