import Glibc

/// File names that go on from a partial path.
enum FileCandidates {
  static func list(_ partial: String) -> [Candidate] {
    let slash = partial.lastIndex(of: "/")
    let folder = slash.map { String(partial[...$0]) } ?? ""
    let start = slash.map { String(partial[partial.index(after: $0)...]) } ?? partial
    guard let handle = opendir(folder.isEmpty ? "." : FileContent.expanded(folder)) else { return [] }
    defer { closedir(handle) }
    var result: [Candidate] = []
    while let entry = readdir(handle), result.count < ShellLimits.candidatesMax {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name.hasPrefix(start), name != ".", name != "..", !name.hasPrefix(".") || start.hasPrefix(".")
      else { continue }
      var status = stat()
      let path = FileContent.expanded(folder) + name
      let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      result.append(Candidate(folder + name + (isFolder ? "/" : ""), whole: !isFolder))
    }
    return result.sorted { $0.text < $1.text }
  }
}
