import Glibc
import RPCProcedures
import RPCSystem
import RPCWire
import Testing

@Suite("Zip archives")
struct ZipArchiveTests {
  @Test("the checksum is CRC-32")
  func checksum() {
    // The check value of the catalogue of CRCs.
    #expect(ZipArchive.checksum(Array("123456789".utf8)) == 0xcbf4_3926)
    #expect(ZipArchive.checksum([]) == 0)
  }

  @Test("Python finds nothing wrong with an archive")
  func archive() throws {
    var archive = ZipArchive()
    archive.add("empty.py", [])
    archive.add("package/module.py", Array("value = 1\n".utf8))
    let bytes = archive.bytes
    var path = Array("/tmp/rpc-zip-XXXXXX".utf8CString)
    let descriptor = Descriptor(mkstemp(&path))
    defer { unlink(path) }
    #expect(write(descriptor.raw, bytes, bytes.count) == bytes.count)
    let name = path.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    let program = "import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)"
    #expect(try ChildProcess.start(["python3", "-c", program, name]).wait() == 0)
  }

  @Test("the worker program is modules with names, of which procedures see none")
  func modules() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "look() -> (List[str], bool, bool)", .python,
        """
        import importlib.util, sys, traceback
        def look():
          files = [frame.filename.rpartition('/fd/')[2] for frame in traceback.extract_stack()]
          return files, importlib.util.find_spec('worker') is None, any('/fd/' in path for path in sys.path)
        """)
      let result = try await python.call(unit)
      #expect(result.dropFirst() == [true, false])
      #expect(result.first?.listValue?.contains("3/rpc_worker/worker.py") == true, "\(result)")
    }
  }
}
