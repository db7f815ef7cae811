internal import CLinux
internal import Glibc

/// The memory that this process may use.
package enum SystemMemory {
  /// Bytes of the machine, or of the process's control group where that has less.
  package static var bytes: Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    let size = sysconf(Int32(_SC_PAGESIZE))
    let machine = pages > 0 && size > 0 ? pages * size : Int.max
    return min(machine, controlGroupBytes(groups: text("/proc/self/cgroup"), read: text) ?? .max)
  }

  /// The least limit of a process's control group and those around it; nil without one.
  ///
  /// - Parameters:
  ///   - groups: what /proc/self/cgroup says: `0::/path` in version 2, `5:memory:/path` in version 1.
  ///   - read: reads a file; nil where there is none.
  internal static func controlGroupBytes(groups: String?, read: (String) -> String?) -> Int? {
    var least: Int?
    for line in (groups ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let root: String
      let file: String
      if fields[0] == "0", fields[1].isEmpty {
        (root, file) = ("/sys/fs/cgroup", "memory.max")
      } else if fields[1].split(separator: ",").contains("memory") {
        (root, file) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
      } else {
        continue
      }
      // In a container the path may be the host's, of which only the root is to be seen.
      var path = fields[2]
      while true {
        let folder = path == "/" ? "" : String(path)
        // "max" is not a number, and version 1 has a huge one for no limit.
        if let text = read("\(root)\(folder)/\(file)"), let bytes = Int(text.prefix { $0 != "\n" }) {
          least = min(least ?? .max, bytes)
        }
        guard let slash = path.lastIndex(of: "/"), path.count > 1 else { break }
        path = slash == path.startIndex ? "/" : path[..<slash]
      }
    }
    return least
  }

  /// A small file of the kernel's.
  internal static func text(_ path: String) -> String? {
    let raw = rpc_open(path, O_RDONLY | O_CLOEXEC, 0)
    guard raw >= 0 else { return nil }
    let descriptor = Descriptor(raw)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(descriptor.raw, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }

  /// Has every large block of memory go back to the system when it is freed, instead of into the process's reserve.
  /// For a program to say, before its first thread: it holds for all that the process does.
  package static func returnLargeBlocks() {
    _ = mallopt(M_MMAP_THRESHOLD, 256 * 1024)
    _ = mallopt(M_TRIM_THRESHOLD, 1024 * 1024)
  }

  /// Gives memory that is free back to the system. Takes a while: not for a loop's thread.
  package static func giveBackFree() {
    _ = malloc_trim(0)
  }
}
