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
    PythonRuntime(context)
  }
}

/// The interpreter: one warm process for each loop, which forks the workers.
package struct PythonProgram: Sendable {
  /// What runs procedures of services that name no version.
  internal static let defaultInterpreter = "python3"

  /// Found in PATH.
  private let interpreter: String
  /// What it has to be.
  private let version: String?
  private let usesNamespaces: Bool
  private let group: String?

  /// - Parameters:
  ///   - usesNamespaces: give the workers process ids of their own, where the kernel allows that.
  ///   - group: the folder of the control group to divide among the workers, where it may be divided.
  package init(
    interpreter: String = "python3", version: String? = nil, usesNamespaces: Bool = true,
    group: String? = ControlGroup.folder
  ) {
    self.interpreter = interpreter
    self.version = version
    self.usesNamespaces = usesNamespaces
    self.group = group
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
        if let version, version != "\(major).\(minor)" {
          return "it is Python \(major).\(minor), not \(version)"
        }
        let oldest = PythonInterpreters.oldestMinorVersion
        guard major != 3 || minor < oldest else { return nil }
        return "it is Python \(major).\(minor), and 3.\(oldest) is the oldest that will do"
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
    let group = group.map { rpc_open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) } ?? -1
    defer { if group >= 0 { close(group) } }
    let bounds = limits.python
    let arguments = [
      "memory=\(bounds.memoryBytes)", "output=\(limits.outputBytes)",
      "message_characters=\(limits.messageCharacters)", "log_bytes=\(limits.logBytesPerCall)",
      "log_lines=\(limits.logLinesPerCall)",
      "print_bytes=\(bounds.printBytes)", "files=\(bounds.descriptors)",
      "file_bytes=\(bounds.fileBytes)", "processes=\(bounds.processes)",
      "report_bytes=\(WorkerOutput.reportBytes)", "memory_slack=\(bounds.memorySlackBytes)",
      "namespaces=\(usesNamespaces ? 1 : 0)", "groups=\(group >= 0 ? 6 : -1)",
    ]
    do throws(SystemError) {
      return try Self.start(
        interpreter, Self.archive, arguments, environment: WorkerEnvironment.variables, control: control,
        more: group >= 0 ? [group] : [])
    } catch {
      throw error.code == ENOENT
        ? RPCError(
          .unavailable,
          "'\(interpreter)' was not found in PATH: Python procedures need Python 3 on the server")
        : RPCError(.unavailable, "Python cannot be started: \(error)")
    }
  }

  private static func start(
    _ interpreter: String, _ archive: [UInt8], _ arguments: [String], environment: [String],
    control: borrowing Descriptor, more: [Int32] = []
  ) throws(SystemError) -> ChildProcess {
    let file = archive.withUnsafeBytes { rpc_memory_file("rpc_worker.zip", $0.baseAddress, $0.count) }
    guard file >= 0 else { throw SystemError.last("memfd_create") }
    defer { close(file) }
    let filters = try Self.filters()
    defer { close(filters.file) }
    let start = [
      interpreter, "-I", "-S", "-B", "/proc/self/fd/3", "program=3", "control=4",
      "filters=5", "base=\(filters.sizes[0])", "sockets=\(filters.sizes[1])", "modes=\(filters.sizes[2])",
      "ports=\(filters.sizes[3])",
    ]
    return try ChildProcess.start(
      start + arguments, environment: environment,
      descriptors: [-1, -1, 2, file, control.raw, filters.file] + more, alone: true)
  }

  /// Starts the program that installs requirements; its end of the socket is `control`.
  internal static func startInstaller(
    _ interpreter: String, control: borrowing Descriptor
  ) throws(SystemError) -> pid_t {
    try start(
      interpreter, installerArchive, ["namespaces=1"], environment: WorkerEnvironment.installerVariables,
      control: control
    ).id
  }

  /// The filters of system calls for workers, one after the other in a file.
  private static func filters() throws(SystemError) -> (file: Int32, sizes: [Int]) {
    let file = rpc_memory_file("rpc_filters", nil, 0)
    guard file >= 0 else { throw SystemError.last("memfd_create") }
    var sizes: [Int] = []
    for kind in [rpc_seccomp_base, rpc_seccomp_sockets, rpc_seccomp_modes, rpc_seccomp_ports] {
      let before = lseek(file, 0, SEEK_CUR)
      let code = rpc_seccomp_write(kind, file)
      guard code == 0 else {
        close(file)
        throw SystemError(code: code, operation: "make the filter of system calls")
      }
      sizes.append(lseek(file, 0, SEEK_CUR) - before)
    }
    lseek(file, 0, SEEK_SET)
    return (file, sizes)
  }

  /// The worker program: a zip archive with the package `rpc_worker`.
  private static let archive = makeArchive(of: "parent")
  /// The one that installs requirements has the same package.
  private static let installerArchive = makeArchive(of: "install")

  private static func makeArchive(of program: String) -> [UInt8] {
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
      ("guardian", PackageResources.guardian_py), ("groups", PackageResources.groups_py),
      ("requirements", PackageResources.requirements_py),
      ("install", PackageResources.install_py), ("environment", PackageResources.environment_py),
    ]
    var archive = ZipArchive()
    archive.add("__main__.py", Array("from rpc_worker.\(program) import main\n\nmain()\n".utf8))
    archive.add("rpc_worker/__init__.py", [])
    for (name, source) in modules { archive.add("rpc_worker/\(name).py", source) }
    return archive.bytes
  }
}
