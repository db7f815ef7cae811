/// Packages that were installed for services.
extension GenerationStore {
  /// The folder, beside what this store keeps itself. In it are virtual environments, each named by the digest of a file
  /// of requirements and a version of Python.
  package static let environmentsName = "environments"
  /// What one is called from when its removal begins: what is left of it is never taken for whole.
  private static let removedEnding = ".old"
  /// What one is called until it is whole.
  private static let madeEnding = ".new"

  /// Removes those that no generation that is kept names, and what was not finished. Runs at the start and after a commit,
  /// when nothing is being installed: what a deployment that failed needed, the next one needs too.
  package func collectEnvironments() {
    guard !disk.hasFailed, indexIsComplete else { return }
    var needed = Set(current?.manifest.sourceDigests ?? [])
    for needs in index.values { needed.formUnion(needs.sources) }
    do throws(DeploymentError) {
      for name in try disk.list(Self.environmentsName) {
        let path = "\(Self.environmentsName)/\(name)"
        if name.hasSuffix(Self.removedEnding) || name.hasSuffix(Self.madeEnding) {
          try disk.remove(path)
        } else if !needed.contains(String(name.prefix { $0 != "-" })) {
          try disk.rename(path, to: path + Self.removedEnding)
          try disk.syncDirectory(Self.environmentsName)
          try disk.remove(path + Self.removedEnding)
        }
      }
    } catch {
      // Told by `hasFailed`; they stay until the next time.
    }
  }
}
