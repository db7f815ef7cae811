import Foundation

/// A program that a test started, with all that it says. Killed where the test does not end it.
///
/// `@unchecked Sendable`: what its threads write is guarded by the condition.
final class ChildProcess: @unchecked Sendable {
  /// POSIX_SPAWN_SETSID, a macro that Swift does not see.
  static let newSession: Int16 = 0x80
  /// MSG_NOSIGNAL, likewise: a peer that is gone is an error, not a signal.
  static let noSignal: Int32 = 0x4000
  /// How long a test waits for what must happen at once on any machine, however loaded.
  static let timeoutSeconds = 60.0

  enum Stream { case output, errors }

  enum Input {
    /// /dev/null.
    case none
    /// A pipe that the test writes to.
    case pipe
    /// The whole of this text, then the end.
    case text(String)
  }

  let pid: pid_t
  let program: String
  private let condition = NSCondition()
  private var output: [UInt8] = []
  private var errors: [UInt8] = []
  private var openStreams: Int
  private var ending: Ending?
  private var inputEnd: Int32 = -1

  /// How a program ended.
  enum Ending: Equatable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)

    var description: String {
      switch self {
      case .code(let code): "code \(code)"
      case .signal(let signal): "signal \(signal)"
      }
    }
  }

  /// - Parameters:
  ///   - environment: added to the tests' own; nil removes a variable.
  ///   - terminal: the path of a terminal to run on instead of pipes, in a session of its own.
  init(
    _ program: String, _ arguments: [String] = [], input: Input = .none,
    environment: [String: String?] = [:], directory: String? = nil, terminal: String? = nil
  ) throws {
    self.program = program
    var variables = ProcessInfo.processInfo.environment
    variables["XDG_CONFIG_HOME"] = ConfigHome.path
    for (name, value) in environment { variables[name] = value }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A group or session of its own, so that all that it starts can be ended with it.
    // Signals as a login shell leaves them, whatever these tests ignore or block themselves.
    posix_spawnattr_setflags(
      &attributes,
      (terminal == nil ? Int16(POSIX_SPAWN_SETPGROUP) : Self.newSession)
        | Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)

    var readEnds: [Int32] = []
    var childEnds: [Int32] = []
    defer { for end in childEnds { close(end) } }
    if let terminal {
      // The first terminal that a new session opens becomes its own.
      for descriptor: Int32 in 0...2 {
        posix_spawn_file_actions_addopen(&actions, descriptor, terminal, O_RDWR, 0)
      }
    } else {
      for descriptor: Int32 in 1...2 {
        let ends = try Self.makePipe()
        readEnds.append(ends.read)
        childEnds.append(ends.write)
        posix_spawn_file_actions_adddup2(&actions, ends.write, descriptor)
      }
      if case .none = input {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      } else {
        let ends = try Self.makePipe()
        inputEnd = ends.write
        childEnds.append(ends.read)
        posix_spawn_file_actions_adddup2(&actions, ends.read, 0)
      }
    }
    openStreams = readEnds.count

    // posix_spawn has no working directory that Swift can see.
    let command = (directory.map { ["env", "-C", $0] } ?? []) + [program] + arguments
    let argumentList: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    let variableList: [UnsafeMutablePointer<CChar>?] =
      variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in argumentList + variableList { free(text) } }
    var pid: pid_t = 0
    let error = posix_spawnp(&pid, command[0], &actions, &attributes, argumentList, variableList)
    guard error == 0 else {
      for end in readEnds { close(end) }
      if inputEnd >= 0 { close(inputEnd) }
      throw Failure("cannot start \(program): \(String(cString: strerror(error)))")
    }
    self.pid = pid
    ProcessReaper.shared.began(pid)
    for (end, stream) in zip(readEnds, [Stream.output, .errors]) {
      Thread.detachNewThread { [self] in collect(end, as: stream) }
    }
    Thread.detachNewThread { [self] in reap() }
    if case .text(let text) = input {
      Thread.detachNewThread { [self] in
        send(text)
        closeInput()
      }
    }
  }

  deinit {
    if inputEnd >= 0 { close(inputEnd) }
  }

  /// A pipe whose ends no program that is started at the same time inherits: pipe(2) cannot say so, and
  /// pipe2(2) is not to be seen from Swift.
  static func makePipe() throws -> (read: Int32, write: Int32) {
    let path = "\(NSTemporaryDirectory())/rpc-pipe.\(UUID().uuidString)"
    guard mkfifo(path, 0o600) == 0 else { throw Failure("no pipe: \(String(cString: strerror(errno)))") }
    defer { unlink(path) }
    // Open for both at first, so that neither end waits for the other.
    let both = open(path, O_RDWR | O_CLOEXEC)
    defer { close(both) }
    return (open(path, O_RDONLY | O_CLOEXEC), open(path, O_WRONLY | O_CLOEXEC))
  }

  // MARK: On threads of their own

  private func collect(_ descriptor: Int32, as stream: Stream) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      condition.lock()
      if count > 0 {
        switch stream {
        case .output: output += buffer[..<count]
        case .errors: errors += buffer[..<count]
        }
      } else {
        openStreams -= 1
      }
      condition.broadcast()
      condition.unlock()
      if count <= 0 { break }
    }
    close(descriptor)
  }

  private func reap() {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    ProcessReaper.shared.ended(pid)
    condition.lock()
    ending = status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
    condition.broadcast()
    condition.unlock()
  }

  // MARK: What it says

  var isRunning: Bool { condition.withLock { ending == nil } }
  var outputText: String { condition.withLock { String(decoding: output, as: UTF8.self) } }
  var errorText: String { condition.withLock { String(decoding: errors, as: UTF8.self) } }

  /// Waits until a stream's text fulfils a condition; what the condition returns is passed on.
  @discardableResult
  func waitFor<Found>(
    _ stream: Stream = .output, _ what: String, seconds: Double = timeoutSeconds,
    _ find: (String) -> Found?
  ) throws -> Found {
    let deadline = Date(timeIntervalSinceNow: seconds)
    condition.lock()
    defer { condition.unlock() }
    while true {
      let bytes = stream == .output ? output : errors
      if let found = find(String(decoding: bytes, as: UTF8.self)) { return found }
      let isOver = ending != nil && openStreams == 0
      guard !isOver, condition.wait(until: deadline) else {
        let end = ending.map { "it ended with \($0)" } ?? "it runs still"
        throw Failure(
          """
          \(program) did not say \(what); \(end).
          stdout: \(String(decoding: output.suffix(4000), as: UTF8.self))
          stderr: \(String(decoding: errors.suffix(4000), as: UTF8.self))
          """)
      }
    }
  }

  /// Waits for a whole line that holds `text`, and returns it.
  @discardableResult
  func waitForLine(
    _ text: String, on stream: Stream = .output, seconds: Double = timeoutSeconds
  ) throws -> String {
    try waitFor(stream, "a line with '\(text)'", seconds: seconds) { said in
      said.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        .first { $0.contains(text) }.map(String.init)
    }
  }

  // MARK: What it is told

  func send(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(inputEnd, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      // A program that has ended reads no more: its ending is what the test looks at.
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }

  func closeInput() {
    condition.withLock {
      if inputEnd >= 0 { close(inputEnd) }
      inputEnd = -1
    }
  }

  func signal(_ number: Int32) { _ = condition.withLock { ending == nil ? kill(pid, number) : -1 } }

  /// Signals the program and all that it started in its group.
  func signalGroup(_ number: Int32) { kill(-pid, number) }

  // MARK: Its end

  /// Waits for the end, and for the last of its output.
  @discardableResult
  func waitForEnd(seconds: Double = timeoutSeconds) throws -> Ending {
    let deadline = Date(timeIntervalSinceNow: seconds)
    condition.lock()
    defer { condition.unlock() }
    while ending == nil || openStreams > 0 {
      guard condition.wait(until: deadline) else {
        throw Failure(
          """
          \(program) \(ending == nil ? "did not end" : "ended, but something holds its output open") \
          within \(seconds) s
          stdout: \(String(decoding: output.suffix(4000), as: UTF8.self))
          stderr: \(String(decoding: errors.suffix(4000), as: UTF8.self))
          """)
      }
    }
    guard let ending else { throw Failure("no ending") }
    return ending
  }

  /// Ends it at once where it still runs, with all that it started in its group.
  func killAtOnce() {
    signalGroup(SIGKILL)
    signal(SIGKILL)
    _ = try? waitForEnd(seconds: 10)
  }
}

/// What a program that ran to its end said.
struct Outcome: CustomStringConvertible {
  let ending: ChildProcess.Ending
  let output: String
  let errors: String

  var lines: [String] { output.split(separator: "\n").map(String.init) }
  var description: String { "\(ending)\nstdout: \(output)\nstderr: \(errors)" }
}

/// Runs a program to its end.
func run(
  _ program: String, _ arguments: [String] = [], input: ChildProcess.Input = .none,
  environment: [String: String?] = [:], directory: String? = nil,
  seconds: Double = ChildProcess.timeoutSeconds
) throws -> Outcome {
  let process = try ChildProcess(
    program, arguments, input: input, environment: environment, directory: directory)
  defer { if process.isRunning { process.killAtOnce() } }
  let ending = try process.waitForEnd(seconds: seconds)
  return Outcome(ending: ending, output: process.outputText, errors: process.errorText)
}
