internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// The native dialect: frames in, frames out.
internal final class NativeDialect: Dialect {
  static let name = "native"

  // The connection lets go of its dialect when it is closed, so this holds nothing for ever.
  let connection: ServerConnection
  let socket: Connection
  let host: ServerLoop
  let core: CallCore
  let caller: Caller
  var decoder = FrameDecoder(frameBytesLimit: WireLimits.helloBytesMax)
  /// Bytes that come before the next frame: the preface, or the rest of a frame that was refused.
  private var bytesToPass = Preface.bytes.count
  /// The HELLO was taken.
  var isGreeted = false
  /// The largest frame the peer takes.
  var peerFrameBytes = WireLimits.frameBytes
  /// What a PROOF must answer, until it came.
  var challenge: [UInt8]?
  /// The highest call id that was accepted: what a GOAWAY says.
  @exclusivity(unchecked) var lastCallID: UInt64 = 0

  init(on connection: ServerConnection) {
    self.connection = connection
    socket = connection.socket
    host = connection.host
    core = connection.host.calls
    caller = connection.caller
  }

  static func recognise(_ first: RawSpan, alpn: String?) -> Recognition {
    if let alpn { return alpn == "simplerpc/1" ? .yes : .no }
    let count = min(first.byteCount, Preface.bytes.count)
    for index in 0..<count
    where unsafe first.unsafeLoad(fromByteOffset: index, as: UInt8.self) != Preface.bytes[index] {
      return .no
    }
    return count == Preface.bytes.count ? .yes : .needs(bytes: Preface.bytes.count)
  }

  // MARK: Input

  func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    guard bytesToPass > 0 else { return readFrames(bytes, from: 0, into: &output) }
    if isGreeted {
      let passed = min(bytesToPass, bytes.byteCount)
      bytesToPass -= passed
      return readFrames(bytes, from: passed, into: &output)
    }
    // It was recognised by the preface, or by ALPN with the preface to come.
    guard bytes.byteCount >= bytesToPass else { return .consumed(0, wanted: bytesToPass) }
    guard Self.recognise(bytes, alpn: nil) == .yes else {
      connection.refuse(RPCError(.protocolError, "the connection does not begin with the preface"))
      return .consumed(bytes.byteCount)
    }
    let start = bytesToPass
    bytesToPass = 0
    return readFrames(bytes, from: start, into: &output)
  }

  private func readFrames(_ bytes: RawSpan, from start: Int, into output: inout ByteQueue) -> Progress {
    var offset = start
    // A generation comes by way of the loop's mail, so this one stays in force while these frames are handled.
    let catalogue = host.catalogue
    do {
      while let header = try decoder.next(in: bytes, at: offset) {
        if socket.isOverHighWater(output) { return .consumed(offset) }
        let end = offset + FrameHeader.byteCount + Int(header.length)
        let payload = bytes.extracting(offset + FrameHeader.byteCount..<end)
        offset = end
        if header.kind == FrameKind.call.rawValue, isGreeted {
          if let procedure = try call(header, payload, in: catalogue, into: &output) {
            offset = repeatedCalls(of: procedure, in: bytes, from: end, into: &output)
          }
        } else {
          try control(header, payload, into: &output)
        }
        // A frame may have ended the connection: what follows it is thrown away.
        if !socket.isReceiving { return .consumed(bytes.byteCount) }
      }
    } catch {
      connection.refuse(protocolError(error))
      return .consumed(bytes.byteCount)
    }
    guard offset < bytes.byteCount else { return .consumed(offset) }
    return .consumed(offset, wanted: decoder.bytesNeeded(in: bytes, at: offset))
  }

  private func protocolError(_ error: WireError) -> RPCError {
    if case .frameTooLarge(let actual, let limit) = error {
      return RPCError(.resourceExhausted, error.description, actual: actual, limit: limit, unit: .bytes)
    }
    return RPCError(.protocolError, error.description)
  }

  // MARK: What the server says by itself

  func refuse(_ error: RPCError, into output: inout ByteQueue) {
    error.encode(to: &output, callID: 0)
  }

  func refuse(unfinished bytes: RawSpan, _ error: RPCError) -> Bool {
    guard isGreeted, let header = FrameHeader(bytes, at: 0),
      header.kind == FrameKind.call.rawValue || header.kind == FrameKind.bind.rawValue,
      header.callID > 0, connection.calls[header.callID] == nil
    else { return false }
    let rest = FrameHeader.byteCount + Int(header.length) - bytes.byteCount
    guard rest > 0 else { return false }
    bytesToPass = rest
    socket.send { refuseCall(header.callID, nil, error, &$0) }
    return true
  }

  /// The end of a peer is the end of its calls: it has no habit of reading on.
  func inputEnded() -> EndOfInput { .closeNow }

  func drain(into output: inout ByteQueue) {
    guard isGreeted else { return }
    goAway(into: &output)
  }

  func goAway(into output: inout ByteQueue) {
    GoAway(
      lastCallID: lastCallID, reason: GoAway.shutdown,
      drainMilliseconds: host.options.drainTimeoutMilliseconds
    ).encode(to: &output)
  }

  func generationChanged(_ serial: Int, into output: inout ByteQueue) {
    output.appendEmptyFrame(.generation, callID: UInt64(serial))
  }

  func ping(into output: inout ByteQueue) -> Bool {
    output.appendEmptyFrame(.ping, callID: 0)
    return true
  }
}
