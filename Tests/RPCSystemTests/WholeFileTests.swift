import Glibc
import RPCSystem
import TestSupport
import Testing

@Suite("Reading a whole file")
struct WholeFileTests {
  @Test("a file of just the limit is read, one byte more is refused", arguments: [0, 1, 65_536, 200_000])
  func limit(count: Int) throws {
    let directory = TemporaryDirectory()
    try directory.write(String(repeating: "x", count: count), to: "file")
    #expect(try WholeFile.read("\(directory.path)/file", limit: count).count == count)
    guard count > 0 else { return }
    #expect(throws: SystemError(code: EFBIG, operation: "read")) {
      try WholeFile.read("\(directory.path)/file", limit: count - 1)
    }
  }

  @Test("a missing file and a directory are told apart by the error's code")
  func missing() {
    let directory = TemporaryDirectory()
    #expect(throws: SystemError(code: ENOENT, operation: "open")) {
      try WholeFile.read("\(directory.path)/none", limit: 1)
    }
    #expect(throws: SystemError(code: EISDIR, operation: "read")) {
      try WholeFile.read(directory.path, limit: 1)
    }
  }

  @Test("a pipe that says nothing is left when the reader is told to stop")
  func cancelled() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    var asked = 0
    let bytes = try WholeFile.read(ends[0], limit: 1) {
      asked += 1
      return asked > 1
    }
    #expect(bytes == nil && asked == 2)
  }
}
