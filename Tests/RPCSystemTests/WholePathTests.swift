import TestSupport
import Testing

@testable import RPCSystem

@Suite("Paths of folders that a person names")
struct WholePathTests {
  @Test("one that is relative, missing or a file is told so, and a folder is taken")
  func problems() throws {
    let folder = TemporaryDirectory()
    try folder.write("x", to: "file")
    #expect(WholePath.problem(ofFolder: folder.path) == nil)
    #expect(WholePath.problem(ofFolder: "versions") == "takes whole paths, not 'versions'")
    #expect(WholePath.problem(ofFolder: "") == "takes whole paths, not ''")
    #expect(
      WholePath.problem(ofFolder: folder.file("none"))
        == "names '\(folder.file("none"))', which cannot be read: No such file or directory")
    #expect(
      WholePath.problem(ofFolder: folder.file("file"))
        == "names '\(folder.file("file"))', which is not a directory")
  }
}
