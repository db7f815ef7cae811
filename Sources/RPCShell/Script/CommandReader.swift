import CLinux
import Glibc
import RPCSystem

/// Cuts a script into commands: from a descriptor, whatever it is (a file, a pipe, a terminal, /dev/null), or from a
/// text. Reads no further than it must, so that a program that waits for each answer gets it.
struct CommandReader {
  struct Command {
    var line: CommandLine
    /// Where it starts, counted from 1.
    var number: Int
  }

  private let descriptor: Int32?
  private var buffer: [UInt8]
  private var offset = 0
  private var lineNumber = 1
  private var isAtEnd: Bool
  /// Whether the place of a byte order mark has been looked at.
  private var isPastMark = false
  /// Whether everything in `buffer` is plain ASCII, so that no line needs to be checked.
  private var isASCII = false

  private static let chunkBytes = 64 * 1024

  init(descriptor: Int32) {
    self.descriptor = descriptor
    buffer = []
    isAtEnd = false
  }

  init(text: String) {
    descriptor = nil
    buffer = Array(text.utf8)
    isAtEnd = true
  }

  /// Whether the next command is there already, without waiting for more.
  var hasBufferedLine: Bool { buffer[offset...].contains(.newline) }

  /// The next command that is not empty, nil at the end.
  mutating func next() async throws(CommandFailure) -> Command? {
    while true {
      while !isAtEnd, !hasBufferedLine { try await readMore() }
      if !isPastMark, buffer.starts(with: [0xef, 0xbb, 0xbf]) { offset = 3 }
      isPastMark = true
      guard offset < buffer.count else { return nil }
      let number = lineNumber
      var line = CommandLine(parsing: buffer, from: offset)
      if line.isUnfinished, !isAtEnd {
        line = try await unfinished()
      } else {
        count(buffer[offset..<line.end])
        if !isASCII, String(validating: buffer[offset..<line.end], as: UTF8.self) == nil {
          line.issues.insert(Issue(offset..<offset, "this line is not UTF-8 text"), at: 0)
        }
        offset = line.end
      }
      if !line.isEmpty || line.isUnfinished { return Command(line: line, number: number) }
    }
  }

  /// Reads on until the open quote or bracket is closed.
  private mutating func unfinished() async throws(CommandFailure) -> CommandLine {
    var text = Array(buffer[offset...])
    var lexer = Lexer(text)
    lexer.run()
    offset = buffer.count
    while !lexer.open.isEmpty, !isAtEnd {
      while !isAtEnd, !hasBufferedLine { try await readMore() }
      let more = buffer[offset...]
      guard text.count + more.count <= ShellLimits.commandBytesMax else {
        throw .other(
          "a command of more than \(Quantity.bytes(Int64(ShellLimits.commandBytesMax))): \(lexer.open[0].kind.complaint)"
        )
      }
      text.append(contentsOf: more)
      lexer.resume(with: more)
      offset = buffer.count
    }
    // What stands behind the command is the next one's.
    let line = CommandLine(lexer, source: text)
    count(text[..<line.end])
    buffer = Array(text[line.end...])
    offset = 0
    return line
  }

  private mutating func count(_ bytes: ArraySlice<UInt8>) {
    lineNumber += bytes.count { $0 == .newline }
  }

  private mutating func readMore() async throws(CommandFailure) {
    guard let descriptor else {
      isAtEnd = true
      return
    }
    guard buffer.count - offset <= ShellLimits.commandBytesMax else {
      throw .other("a line is longer than the limit of \(Quantity.bytes(Int64(ShellLimits.commandBytesMax)))")
    }
    // A script that waits for its next line waits here, and Ctrl-C must end that too.
    let interruption = Interruption()
    let result = await withTaskCancellationHandler {
      await Blocking.run { Self.read(descriptor, until: interruption) }
    } onCancel: {
      interruption.happen()
    }
    if Task.isCancelled { throw .interrupted }
    let chunk: [UInt8]
    do throws(SystemError) {
      chunk = try result.get()
    } catch {
      throw .other("cannot read the script: \(error.reason)")
    }
    if chunk.isEmpty { isAtEnd = true }
    buffer = Array(buffer[offset...]) + chunk
    offset = 0
    isASCII = buffer.allSatisfy { $0 < 0x80 }
  }

  /// Nothing is read at the end of the script, and where it was interrupted.
  private static func read(
    _ descriptor: Int32, until interruption: Interruption
  ) -> Result<[UInt8], SystemError> {
    var failure: SystemError?
    let bytes = [UInt8](unsafeUninitializedCapacity: chunkBytes) { buffer, count in
      while true {
        var entries = [
          pollfd(fd: interruption.descriptor, events: Int16(POLLIN), revents: 0),
          pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        _ = poll(&entries, 2, -1)
        if entries[0].revents != 0 { return }
        guard entries[1].revents != 0 else { continue }
        let got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        if got >= 0 {
          count = got
          return
        }
        if errno != EAGAIN, errno != EINTR {
          failure = SystemError.last("read")
          return
        }
      }
    }
    return failure.map { .failure($0) } ?? .success(bytes)
  }
}

/// What ends a read that waits: a descriptor that becomes readable.
private final class Interruption: Sendable {
  let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))

  deinit { close(descriptor) }

  func happen() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }
}
