internal import CLinux
internal import CSeccomp
internal import Glibc
internal import RPCSystem
internal import RPCWire

extension Language {
  package static let python = Language(name: "python")
}

extension LanguageEntry {
  package static let python = LanguageEntry(
    .python, fileEndings: [".py"], comment: "#", isText: PythonProgram.isText, outline: PythonOutline.read
  ) { context in
    PythonProgram().runtime(context)
  }
}

/// The interpreter: one warm process for each loop, which forks the workers.
package struct PythonProgram: Sendable {
  /// The oldest version of Python whose library has all that the worker program uses.
  private static let oldestMinorVersion: UInt32 = 9

  /// Found in PATH.
  private let interpreter: String
  private let usesNamespaces: Bool

  /// - Parameter usesNamespaces: give the workers process ids of their own, where the kernel allows that.
  package init(interpreter: String = "python3", usesNamespaces: Bool = true) {
    self.interpreter = interpreter
    self.usesNamespaces = usesNamespaces
  }

  package func runtime(_ context: RuntimeContext) -> WorkerPool {
    let bounds = context.limits.python
    return WorkerPool(
      title: "Python", context: context, bounds: bounds,
      launcher: ForkServerLauncher(
        forkServer(context.limits), title: "Python", bounds: bounds, loop: context.loop))
  }

  func forkServer(_ limits: RuntimeLimits) -> ForkServerProgram {
    ForkServerProgram(
      start: { control throws(RPCError) in try start(limits, control: control) },
      refusal: { major, minor in
        guard major != 3 || minor < Self.oldestMinorVersion else { return nil }
        return "it is Python \(major).\(minor), and 3.\(Self.oldestMinorVersion) is the oldest that will do"
      })
  }

  /// Python wants UTF-8 unless one of the first two lines declares another encoding.
  package static func isText(_ bytes: [UInt8]) -> Bool {
    guard String(validating: bytes, as: UTF8.self) == nil else { return true }
    let head = bytes.split(separator: 0x0a, maxSplits: 2, omittingEmptySubsequences: false).prefix(2)
    return head.contains { line in
      line.contains(UInt8(ascii: "#")) && SourceOutline.words(in: Array(line)).contains("coding")
    }
  }

  /// Starts the interpreter on the worker program, which it imports from memory: descriptor 3 is the program, 4 the
  /// control socket.
  private func start(_ limits: RuntimeLimits, control: borrowing Descriptor) throws(RPCError) -> ChildProcess
  {
    let file = Self.archive.withUnsafeBytes { rpc_memory_file("rpc_worker.zip", $0.baseAddress, $0.count) }
    guard file >= 0 else { throw Self.notStarted(SystemError.last("memfd_create")) }
    defer { close(file) }
    let filters = try Self.filters()
    defer { close(filters.file) }
    let bounds = limits.python
    let arguments = [
      interpreter, "-I", "-S", "-B", "/proc/self/fd/3", "program=3", "control=4",
      "filters=5", "base=\(filters.sizes[0])", "sockets=\(filters.sizes[1])", "modes=\(filters.sizes[2])",
      "memory=\(bounds.memoryBytes)", "output=\(limits.outputBytes)",
      "message_characters=\(limits.messageCharacters)", "log_bytes=\(limits.logBytesPerCall)",
      "log_lines=\(limits.logLinesPerCall)",
      "print_bytes=\(bounds.printBytes)", "files=\(bounds.descriptors)",
      "file_bytes=\(bounds.fileBytes)", "processes=\(bounds.processes)",
      "report_bytes=\(WorkerOutput.reportBytes)", "memory_slack=\(bounds.memorySlackBytes)",
      "namespaces=\(usesNamespaces ? 1 : 0)",
    ]
    do throws(SystemError) {
      return try ChildProcess.start(
        arguments, environment: WorkerEnvironment.variables,
        descriptors: [-1, -1, 2, file, control.raw, filters.file],
        alone: true)
    } catch {
      throw error.code == ENOENT
        ? RPCError(
          .unavailable,
          "'\(interpreter)' was not found in PATH: Python procedures need Python 3 on the server")
        : Self.notStarted(SystemError(code: error.code, operation: "start \(interpreter)"))
    }
  }

  /// The filters of system calls for workers, one after the other in a file.
  private static func filters() throws(RPCError) -> (file: Int32, sizes: [Int]) {
    let file = rpc_memory_file("rpc_filters", nil, 0)
    guard file >= 0 else { throw notStarted(SystemError.last("memfd_create")) }
    var sizes: [Int] = []
    for kind in [rpc_seccomp_base, rpc_seccomp_sockets, rpc_seccomp_modes] {
      let before = lseek(file, 0, SEEK_CUR)
      let code = rpc_seccomp_write(kind, file)
      guard code == 0 else {
        close(file)
        throw notStarted(SystemError(code: code, operation: "make the filter of system calls"))
      }
      sizes.append(lseek(file, 0, SEEK_CUR) - before)
    }
    lseek(file, 0, SEEK_SET)
    return (file, sizes)
  }

  private static func notStarted(_ error: SystemError) -> RPCError {
    RPCError(.unavailable, "Python cannot be started: \(error)")
  }

  /// The worker program: a zip archive with the package `rpc_worker`.
  private static let archive: [UInt8] = {
    let modules = [
      ("parent", PackageResources.parent_py), ("worker", PackageResources.worker_py),
      ("protocol", PackageResources.protocol_py), ("limits", PackageResources.limits_py),
      ("sources", PackageResources.sources_py), ("calls", PackageResources.calls_py),
      ("output", PackageResources.output_py), ("rpc", PackageResources.rpc_py),
      ("codec", PackageResources.codec_py), ("values", PackageResources.values_py),
      ("errors", PackageResources.errors_py), ("spelling", PackageResources.spelling_py),
      ("state", PackageResources.state_py), ("processes", PackageResources.processes_py),
      ("namespaces", PackageResources.namespaces_py),
      ("confinement", PackageResources.confinement_py), ("folders", PackageResources.folders_py),
      ("newborn", PackageResources.newborn_py), ("provision", PackageResources.provision_py),
      ("hints", PackageResources.hints_py),
      ("guardian", PackageResources.guardian_py),
    ]
    var archive = ZipArchive()
    archive.add("__main__.py", Array("from rpc_worker.parent import main\n\nmain()\n".utf8))
    archive.add("rpc_worker/__init__.py", [])
    for (name, source) in modules { archive.add("rpc_worker/\(name).py", source) }
    return archive.bytes
  }()
}
