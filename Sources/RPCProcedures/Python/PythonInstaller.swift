internal import CLinux
internal import Glibc
internal import RPCSystem
package import RPCTransport
package import RPCWire

/// The packages that a service's file of requirements asks for.
package struct PythonRequirements: Hashable, Sendable {
  /// SHA-256 of the file's content.
  package var digest: String
  package var content: [UInt8]
  /// The version of Python, nil for the server's own.
  package var python: String?
  /// The service that names it, of several the first: whose messages it has, and what it may read.
  package var service: String
  package var confinement: Confinement

  package init(
    digest: String, content: [UInt8], python: String?, service: String, confinement: Confinement
  ) {
    self.digest = digest
    self.content = content
    self.python = python
    self.service = service
    self.confinement = confinement
  }
}

/// Installs requirements, each once for a digest and a version of Python: aside, by pip in a process that may write that
/// folder and nothing else, and then renamed. It belongs to one loop.
package final class PythonInstaller {
  package struct Options: Sendable {
    /// Where the environments are.
    package var directory: String
    package var timeoutMilliseconds: Int
    package var allowsSourceBuilds: Bool
    package var isolation: IsolationPolicy

    package init(
      directory: String, timeoutMilliseconds: Int, allowsSourceBuilds: Bool = false,
      isolation: IsolationPolicy = IsolationPolicy()
    ) {
      self.directory = directory
      self.timeoutMilliseconds = timeoutMilliseconds
      self.allowsSourceBuilds = allowsSourceBuilds
      self.isolation = isolation
    }
  }

  private let loop: EventLoop
  private let options: Options
  private let interpreters: PythonInterpreters
  private var running: [PythonInstallation] = []
  private var endings: [ForkServerEnding] = []

  package init(loop: EventLoop, options: Options, interpreters: PythonInterpreters) {
    self.loop = loop
    self.options = options
    self.interpreters = interpreters
  }

  /// Makes sure that what is asked for is there, one after the other.
  ///
  /// - Parameters:
  ///   - progress: takes lines for people.
  ///   - completion: gets what could not be installed, with the reason; not called where `cancel` came first.
  package func install(
    _ wanted: [PythonRequirements], progress: @escaping (String) -> Void,
    completion: @escaping ([(PythonRequirements, RPCError)]) -> Void
  ) {
    install(wanted[...], [], progress, completion)
  }

  private func install(
    _ wanted: ArraySlice<PythonRequirements>, _ failed: [(PythonRequirements, RPCError)],
    _ progress: @escaping (String) -> Void, _ completion: @escaping ([(PythonRequirements, RPCError)]) -> Void
  ) {
    guard let next = wanted.first else { return completion(failed) }
    let goOn: (RPCError?) -> Void = { [weak self] error in
      self?.install(wanted.dropFirst(), failed + (error.map { [(next, $0)] } ?? []), progress, completion)
    }
    do throws(RPCError) {
      let installation = try start(next, progress: progress) { [weak self] installation, result in
        self?.ended(installation)
        if case .failure(let error) = result { goOn(error) } else { goOn(nil) }
      }
      running.append(installation)
    } catch {
      goOn(error)
    }
  }

  private func ended(_ installation: PythonInstallation) {
    running.removeAll { $0 === installation }
    endings.removeAll(where: \.isOver)
    if let ending = installation.ending { endings.append(ending) }
  }

  /// Ends what is being installed; nothing of it stays.
  package func cancel() {
    for installation in running {
      installation.stop()
      ended(installation)
    }
  }

  /// As `cancel`, and returns once its processes are gone.
  package func shutDown() {
    cancel()
    for ending in endings { ending.wait() }
    endings = []
  }

  private func start(
    _ wanted: PythonRequirements, progress: @escaping (String) -> Void,
    completion: @escaping (PythonInstallation, Result<Void, RPCError>) -> Void
  ) throws(RPCError) -> PythonInstallation {
    func refused(_ why: String) -> RPCError { RPCError(.failedPrecondition, why) }
    var provision = Provision()
    provision.python = wanted.python
    let why =
      options.isolation.refusal(of: wanted.confinement, service: wanted.service)
      ?? interpreters.refusal(of: provision, service: wanted.service)
    if let why { throw refused(why) }
    let program = wanted.python.flatMap { interpreters.program(for: $0) } ?? PythonProgram.defaultInterpreter
    let order = WorkerOrder(
      service: wanted.service, confinement: wanted.confinement,
      isolation: options.isolation.isolation(of: wanted.confinement))
    do throws(SystemError) {
      return try PythonInstallation(
        wanted, program: program, order: order.bytes, options: options, loop: loop, progress: progress,
        completion: completion)
    } catch {
      throw RPCError(.unavailable, "the requirements of '\(wanted.service)' cannot be installed: \(error)")
    }
  }
}

/// One run of the installing program.
private final class PythonInstallation: ConnectionHandler {
  private enum Kind {
    static let install: UInt8 = 70
    static let says: UInt8 = 71
    static let installed: UInt8 = 72
    static let failed: UInt8 = 73
  }

  private static let frameBytesMax = 64 * 1024

  private let wanted: PythonRequirements
  private let loop: EventLoop
  private let guardian: pid_t
  private var connection: Connection?
  private let progress: (String) -> Void
  private var completion: ((PythonInstallation, Result<Void, RPCError>) -> Void)?
  private(set) var ending: ForkServerEnding?

  init(
    _ wanted: PythonRequirements, program: String, order: [UInt8], options: PythonInstaller.Options,
    loop: EventLoop, progress: @escaping (String) -> Void,
    completion: @escaping (PythonInstallation, Result<Void, RPCError>) -> Void
  ) throws(SystemError) {
    self.wanted = wanted
    self.loop = loop
    self.progress = progress
    self.completion = completion
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw .last("socketpair")
    }
    let near = Descriptor(ends[0])
    let far = Descriptor(ends[1])
    guardian = try PythonProgram.startInstaller(program, control: far)
    _ = rpc_set_nonblocking(near.raw, 1)
    let connection = Connection(adopting: near, on: loop)
    do throws(SystemError) {
      try connection.start(self)
    } catch {
      kill(guardian, SIGKILL)
      waitpid(guardian, nil, 0)
      throw error
    }
    self.connection = connection
    connection.send { queue in
      let mark = queue.count
      queue.append(littleEndian: UInt64(Kind.install) << 32)
      queue.append(littleEndian: UInt64(0))
      queue.appendListHeader(count: 6)
      queue.appendString(options.directory)
      queue.appendString(wanted.digest)
      queue.appendBinary(wanted.content)
      queue.appendInt(Int64(max(1, options.timeoutMilliseconds / 1000)))
      queue.appendBool(options.allowsSourceBuilds)
      queue.appendBinary(order)
      queue.endFrame(mark)
    }
  }

  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    var offset = 0
    while let header = FrameHeader(bytes, at: offset) {
      let length = Int(header.length)
      let start = offset + FrameHeader.byteCount
      guard length <= Self.frameBytesMax else {
        finish(.failure(failure("the installer said something that is too long")))
        return bytes.byteCount
      }
      guard start + length <= bytes.byteCount else { break }
      take(header.kind, text(bytes.extracting(start..<start + length)))
      guard connection.isOpen else { return bytes.byteCount }
      offset = start + length
    }
    return offset
  }

  private func text(_ payload: RawSpan) -> String {
    var reader = MessagePackReader(payload)
    guard let values = try? Value.decode(from: &reader).listValue else { return "" }
    return values.first?.stringValue ?? ""
  }

  private func take(_ kind: UInt8, _ text: String) {
    switch kind {
    case Kind.says: progress("requirements of \(wanted.service): \(text)")
    case Kind.installed: finish(.success(()))
    default: finish(.failure(failure(text)))
    }
  }

  private func failure(_ why: String) -> RPCError {
    RPCError(.failedPrecondition, "the requirements of '\(wanted.service)' cannot be installed: \(why)")
  }

  private func finish(_ result: Result<Void, RPCError>) {
    let completion = completion
    stop()
    completion?(self, result)
  }

  /// Ends the processes; the completion is not called any more.
  func stop() {
    completion = nil
    connection?.close()
    connection = nil
    if ending == nil { ending = ForkServerEnding(of: guardian, on: loop) }
  }

  func inputEnded(on connection: Connection) {
    finish(.failure(failure("the installer ended before it was done")))
  }

  func closed(_ connection: Connection, reason: CloseReason) {
    self.connection = nil
    if completion != nil { finish(.failure(failure("the installer ended before it was done"))) }
  }
}
