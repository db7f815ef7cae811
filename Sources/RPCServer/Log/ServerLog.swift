internal import Logging
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// A server's log: gives each loop its own `LoopLog`, and takes the rare events that belong to no loop.
internal final class ServerLog: Sendable {
  private let current: Lock<LogOptions>
  private let sink: LogSink?
  private let made: Lock<Logger>

  /// - Throws: `SystemError` where the file cannot be opened.
  init(_ options: LogOptions = LogOptions()) throws(SystemError) {
    current = Lock(options)
    let sink = options.level == .off ? nil : try LogSink(path: options.file, format: options.format)
    self.sink = sink
    made = Lock(Self.logger(sink, options))
  }

  private static func logger(_ sink: LogSink?, _ options: LogOptions) -> Logger {
    Logger(label: "rpc-server") { _ in SinkLogHandler(sink: sink, options: options) }
  }

  private var logger: Logger { made.withLock { $0 } }

  /// What is logged.
  var level: LogOptions.Level { current.withLock(\.level) }

  /// Takes another level and another file. A log that was off stays off, and lines keep their format.
  func update(_ options: LogOptions) {
    guard let sink else { return }
    let fresh = current.withLock { current in
      current.level = options.level
      return current
    }
    made.withLock { $0 = Self.logger(sink, fresh) }
    let logger = logger
    sink.reopen(options.file) { error in logger.error("the log stays where it was: \(error)") }
  }

  func loopLog(on loop: EventLoop) -> LoopLog {
    let options = current.withLock { $0 }
    return LoopLog(loop: loop, sink: sink, level: options.level, format: options.format)
  }

  func note(_ message: String) { logger.info("\(message)") }
  func warn(_ message: String) { logger.warning("\(message)") }
  func fail(_ message: String) { logger.error("\(message)") }

  /// Opens the log file again, after it was moved away.
  func reopen() {
    let logger = logger
    sink?.reopen { error in logger.error("the log stays where it was: \(error)") }
  }

  /// Writes what waits. Later lines are dropped.
  func close() { sink?.close() }

  /// For tests: waits until everything handed over so far is written.
  func synchronize() { sink?.synchronize() }
}

/// Brings what is logged through swift-log into the server's log, in its format.
internal struct SinkLogHandler: LogHandler {
  private let sink: LogSink?
  private let line: LogLine
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level

  init(sink: LogSink?, options: LogOptions) {
    self.sink = sink
    line = LogLine(format: options.format)
    logLevel =
      switch options.level {
      case .off, .error: .error
      case .warning: .warning
      case .info: .info
      case .debug: .trace
      }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    guard let sink else { return }
    var time = LogTimestamp()
    time.update(SystemClock.wallNanoseconds())
    var buffer = ByteQueue()
    let level: LogOptions.Level =
      switch event.level {
      case .trace, .debug: .debug
      case .info, .notice: .info
      case .warning: .warning
      case .error, .critical: .error
      }
    line.begin(&buffer, time.text, level, event: "note")
    line.field(&buffer, "message", text: event.message.description)
    let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
    for (key, value) in all.sorted(by: { $0.key < $1.key }) {
      switch line.format {
      case .human: line.field(&buffer, "metadata", text: "\(key)=\(value)")
      case .json:
        buffer.append(",")
        buffer.appendJSON(string: key)
        buffer.append(":")
        buffer.appendJSON(string: "\(value)")
      }
    }
    line.end(&buffer)
    sink.write(&buffer)
  }
}
