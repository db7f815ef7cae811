import Testing

@testable import RPCSystem

@Suite("The control group of this process")
struct ControlGroupTests {
  @Test(
    "is that of version 2, and the one to divide where the process has gone to its own part",
    arguments: [
      ("0::/\n", "/sys/fs/cgroup/"), ("5:memory:/x\n0::/a/b.service\n", "/sys/fs/cgroup/a/b.service"),
      ("0::/a/b.service/rpc-server\n", "/sys/fs/cgroup/a/b.service"), ("5:memory:/x\n", nil), ("", nil),
      (nil, nil),
    ] as [(String?, String?)])
  func folder(groups: String?, folder: String?) {
    #expect(ControlGroup.folder(groups: groups) == folder)
  }
}
