internal import RPCWire

/// The mark of a data directory that tells a program whether it can read it: a number that grows with every change of
/// what the directory's files mean to programs that do not know of it.
///
/// A store without a mark was written by a release before there was one, and every later one reads it. The Debian
/// package reads the file too (`Scripts/packaging/preinst`), so that no release is installed over a later one's data.
struct StoreFormat: Hashable, Sendable {
  /// What this program writes, and the highest that it reads.
  static let current = StoreFormat(number: 3, release: Release.version)
  static let file = "format"
  static let bytesMax = 256

  let number: Int
  /// The release that made the mark.
  let release: String

  init(number: Int, release: String) {
    self.number = number
    self.release = release
  }

  /// Lines of `key value`, which people read too; nil where the number is missing. Other lines are passed over.
  init?(text: String) {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
    guard let number = values["format"].flatMap({ Int($0) }), number > 0 else { return nil }
    self.number = number
    release = values["release"].map(String.init) ?? "unknown"
  }

  var text: String { "format \(number)\nrelease \(release)\n" }
}

extension GenerationStore {
  /// - Throws: `newer` where a later release wrote the store. A mark that cannot be read keeps nobody from serving: the
  ///   next deployment writes it again.
  func readFormat() throws(DeploymentError) -> StoreFormat? {
    guard let bytes = try? disk.read(StoreFormat.file, limit: StoreFormat.bytesMax),
      let found = StoreFormat(text: String(decoding: bytes, as: UTF8.self))
    else { return nil }
    guard found.number <= StoreFormat.current.number else {
      throw DeploymentError(
        .newer,
        "release \(found.release) wrote it in format \(found.number), and release \(Release.version) reads "
          + "up to \(StoreFormat.current.number): install release \(found.release) or a later one, or start with another --data"
      )
    }
    return found
  }

  /// Writes the mark, durably, before the first thing that programs of an earlier format could not read.
  func markFormat() throws(DeploymentError) {
    guard format?.number != StoreFormat.current.number else { return }
    try disk.write(Array(StoreFormat.current.text.utf8), to: StoreFormat.file + ".new", sync: true)
    try disk.rename(StoreFormat.file + ".new", to: StoreFormat.file)
    try disk.syncDirectory("")
    format = .current
  }
}
