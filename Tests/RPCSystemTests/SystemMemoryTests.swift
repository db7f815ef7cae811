import Testing

@testable import RPCSystem

@Suite("The memory of this machine")
struct SystemMemoryTests {
  static let groups: [(String, [String: String], Int?)] = [
    ("", [:], nil),
    ("0::/\n", ["/sys/fs/cgroup/memory.max": "1000\n"], 1000),
    ("0::/\n", ["/sys/fs/cgroup/memory.max": "max\n"], nil),
    ("0::/a/b\n", ["/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "500\n"], 500),
    ("0::/a/b\n", ["/sys/fs/cgroup/a/b/memory.max": "300\n", "/sys/fs/cgroup/a/memory.max": "500\n"], 300),
    ("0::/host/only\n", ["/sys/fs/cgroup/memory.max": "700\n"], 700),
    (
      "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n", ["/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "900\n"], 900
    ),
    ("nonsense\n1:2\n::\n", ["/sys/fs/cgroup/memory.max": "1\n"], nil),
  ]

  @Test("a control group's limit is the least of those around it", arguments: groups.indices)
  func controlGroup(index: Int) {
    let (groups, files, bytes) = Self.groups[index]
    #expect(SystemMemory.controlGroupBytes(groups: groups) { files[$0] } == bytes)
  }

  @Test("this machine has memory")
  func machine() {
    #expect(SystemMemory.bytes > 16 * 1024 * 1024)
  }
}
