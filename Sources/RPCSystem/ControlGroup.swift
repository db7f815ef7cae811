/// The control group that this process is in, of version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html).
package enum ControlGroup {
  /// Where a server that divides its group goes itself.
  private static let ownLeaf = "/rpc-server"

  /// The folder of the group that may be this process's to divide; nil where the kernel has none of version 2.
  package static var folder: String? { folder(groups: SystemMemory.text("/proc/self/cgroup")) }

  /// - Parameter groups: what /proc/self/cgroup says: `0::/path` in version 2.
  internal static func folder(groups: String?) -> String? {
    for line in (groups ?? "").split(separator: "\n") where line.hasPrefix("0::/") {
      let path = line.dropFirst(3)
      return "/sys/fs/cgroup\(path.hasSuffix(ownLeaf) ? path.dropLast(ownLeaf.utf8.count) : path)"
    }
    return nil
  }
}
