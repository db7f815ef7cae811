internal import RPCWire

/// Writes one line of the log, field by field, in either format, straight into a buffer. All text is escaped
/// as JSON has it, so that a line stays a line and cannot be forged by a name or a message.
internal struct LogLine {
  let format: LogOptions.Format

  /// Time, level and event; `end` finishes the line.
  func begin(_ buffer: inout ByteQueue, _ time: [UInt8], _ level: LogOptions.Level, event: StaticString) {
    self.time(&buffer, time)
    self.level(&buffer, level, event: event)
  }

  /// What every line begins with.
  func time(_ buffer: inout ByteQueue, _ time: [UInt8]) {
    if format == .json { buffer.append(#"{"time":""# as StaticString) }
    buffer.append(time)
  }

  /// What comes behind the time.
  func level(_ buffer: inout ByteQueue, _ level: LogOptions.Level, event: StaticString) {
    switch format {
    case .human:
      switch level {
      case .off, .error: buffer.append(" error  " as StaticString)
      case .warning: buffer.append(" warning" as StaticString)
      case .info: buffer.append(" info   " as StaticString)
      case .debug: buffer.append(" debug  " as StaticString)
      }
    case .json:
      buffer.append(#"","level":""# as StaticString)
      switch level {
      case .off, .error: buffer.append("error" as StaticString)
      case .warning: buffer.append("warning" as StaticString)
      case .info: buffer.append("info" as StaticString)
      case .debug: buffer.append("debug" as StaticString)
      }
      buffer.append(#"","event":""# as StaticString)
      buffer.append(event)
      buffer.append(UInt8(ascii: "\""))
    }
  }

  func end(_ buffer: inout ByteQueue) {
    if format == .json { buffer.append(UInt8(ascii: "}")) }
    buffer.append(UInt8(ascii: "\n"))
  }

  /// A word that the human line shows and JSON tells by the event.
  func word(_ buffer: inout ByteQueue, _ word: StaticString) {
    guard format == .human else { return }
    buffer.append(UInt8(ascii: " "))
    buffer.append(word)
  }

  /// A field whose text is escaped already.
  func field(_ buffer: inout ByteQueue, _ key: StaticString, _ escaped: [UInt8]) {
    beginField(&buffer, key)
    buffer.append(escaped)
    endField(&buffer)
  }

  func field(_ buffer: inout ByteQueue, _ key: StaticString, _ text: StaticString) {
    beginField(&buffer, key)
    buffer.append(text)
    endField(&buffer)
  }

  /// A field of text that came from somewhere, cut to the limit.
  func field(_ buffer: inout ByteQueue, _ key: StaticString, text: String) {
    beginField(&buffer, key)
    if text.utf8.count <= LogLimits.messageBytesMax {
      buffer.append(escaped: text)
    } else {
      buffer.append(escaped: String(text.prefix(LogLimits.messageBytesMax / 4)))
      buffer.append("… (\(text.utf8.count) bytes)")
    }
    endField(&buffer)
  }

  /// A number with its unit, which JSON has in the key.
  func number(_ buffer: inout ByteQueue, _ key: StaticString, _ value: UInt64, unit: StaticString) {
    switch format {
    case .human:
      buffer.append(UInt8(ascii: " "))
      buffer.append(decimal: value)
      buffer.append(unit)
    case .json:
      buffer.append(#",""# as StaticString)
      buffer.append(key)
      buffer.append(#"":"# as StaticString)
      buffer.append(decimal: value)
    }
  }

  private func beginField(_ buffer: inout ByteQueue, _ key: StaticString) {
    switch format {
    case .human: buffer.append(UInt8(ascii: " "))
    case .json:
      buffer.append(#",""# as StaticString)
      buffer.append(key)
      buffer.append(#"":""# as StaticString)
    }
  }

  private func endField(_ buffer: inout ByteQueue) {
    if format == .json { buffer.append(UInt8(ascii: "\"")) }
  }
}

extension ByteQueue {
  internal mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer($0))) }
  }

  internal mutating func append(decimal value: UInt64) {
    var divisor: UInt64 = 1
    while value / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
      divisor /= 10
    }
  }
}

/// Text as the log's lines have it.
internal func logEscaped(_ text: String) -> [UInt8] {
  var queue = ByteQueue()
  queue.append(escaped: text)
  return queue.copy()
}
