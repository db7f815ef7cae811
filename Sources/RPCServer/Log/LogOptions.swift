/// What a server writes down, how and where.
public struct LogOptions: Sendable, Hashable {
  /// Each level includes those before it.
  public enum Level: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    /// Nothing at all.
    case off
    /// The server cannot do what it is for.
    case error
    /// Refused access, exceptions of procedures, overload, peers that break the protocol.
    case warning
    /// Each connection and each execution of a procedure, those of one caller within a time window together.
    case info
    /// Each execution by itself.
    case debug

    public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }

    public init?(name: String) {
      guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
      self = level
    }

    public var name: String { "\(self)" }
  }

  public enum Format: String, Sendable, Hashable, CaseIterable {
    /// A line for people: time, level, who, what.
    case human
    /// One JSON object per line.
    case json
  }

  public var level: Level
  public var format: Format
  /// A file that is appended to; nil writes to standard error.
  public var file: String?

  public init(level: Level = .off, format: Format = .human, file: String? = nil) {
    self.level = level
    self.format = format
    self.file = file
  }
}

/// The bounds of the log.
internal enum LogLimits {
  /// Bytes that a loop gathers before it hands them over.
  static let bufferBytes = 32 * 1024
  /// How long a line may wait for company, in nanoseconds.
  static let flushNanoseconds: UInt64 = 200_000_000
  /// How long executions are counted together, in nanoseconds.
  static let windowNanoseconds: UInt64 = 100_000_000
  /// Callers, and procedures of each, that are counted at a time.
  static let runsMax = 4096
  /// How close together warnings are handed over one by one, in nanoseconds.
  static let urgentNanoseconds: UInt64 = 10_000_000
  /// Bytes that wait for a slow disk or reader; what comes on top is dropped, and counted.
  static let waitingBytesMax = 8 * 1024 * 1024
  /// How long the last lines may take to be written when the server ends, in milliseconds.
  static let closeMilliseconds: Int32 = 2_000
  /// Bytes of one message, so that a procedure cannot fill the disk with one exception.
  static let messageBytesMax = 4 * 1024
}
