internal import Glibc
internal import RPCSystem
internal import RPCWire

/// A connection's filter, and what it has made ready for the socket.
internal final class Filtering {
  let filter: any ByteFilter
  let wire = LoopCell(ByteQueue())
  /// The filter has said that nothing more will be sent.
  var hasEnded = false
  /// Why the connection ends, while what the filter says of it leaves.
  var failure: SystemError?
  /// Bytes of the handler that the filter has taken.
  var bytesTaken: UInt64 = 0

  init(_ filter: any ByteFilter) {
    self.filter = filter
  }
}

/// How bytes pass through a filter.
extension Connection {
  /// What stands between the socket and the handler, if anything does.
  package var filter: (any ByteFilter)? { filtering?.filter }

  /// Puts a filter between the socket and the handler: before `start`, or while the handler looks at the first bytes, of
  /// which it then consumes none: they go through the filter.
  package func install(_ filter: any ByteFilter) {
    precondition(filtering == nil && bytesSent == 0, "a filter comes before the first byte")
    filtering = Filtering(filter)
  }

  /// Reads once and gives the handler what the filter makes of it.
  internal func read(through filtering: Filtering) {
    let outcome = Syscall.receive(descriptor, loop.readBuffer)
    switch outcome {
    case .moved(let count):
      noteReceived(count)
      pass(
        unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: loop.readBuffer[..<count])), filtering)
    case .ended where !state.inputEnded:
      do throws(FilterFailure) {
        try filtering.filter.inputEnded(isMidway: !input.isEmpty)
        readFailed(outcome)
      } catch {
        fail(error)
      }
    default: readFailed(outcome)
    }
  }

  /// Gives the filter what the socket gave, and the handler what the filter makes of it.
  internal func pass(_ bytes: RawSpan, _ filtering: Filtering) {
    let growth = input.growth(of: bytes.byteCount)
    let excess = growth > 0 ? excess(of: growth) : nil
    if let excess, input.count > Self.headBytes { refuseKeptInput(excess) }
    guard state.isOpen else { return }
    if input.allocatedBytes == 0 { input = loop.buffers.value.take() }
    let before = input.count
    var failure: FilterFailure?
    do throws(FilterFailure) {
      try filtering.filter.receive(bytes, into: &input, answering: &filtering.wire.value)
    } catch {
      failure = error
    }
    // The filter finishes its handshake for the sake of the last words; nothing is delivered any more.
    if state.closesAfterFlush { input.removeAll() }
    if input.isEmpty {
      loop.buffers.value.giveBack(&input)
    } else if input.count > before {
      // What came before the failure was said by the peer.
      if isReading { deliverKeptInput() } else { state.hasUndelivered = true }
      // The filter needed to see these bytes, but there is no memory for what is left of them.
      if excess != nil, isReceiving, !input.isEmpty {
        var rest = ByteQueue()
        swap(&rest, &input)
        keep(rest.bytes)
        loop.buffers.value.giveBack(&rest)
      }
    }
    guard state.isOpen else { return }
    if let failure { fail(failure) } else { checkEnd() }
  }

  /// Has the handler told that the peer has said inside the filter that it sends no more, once all that it sent before is
  /// delivered.
  internal func checkEnd() {
    guard let filtering, filtering.filter.peerHasEnded, isReceiving, !state.hasUndelivered else { return }
    // What was answered leaves first, as it does where the end comes by itself.
    flush()
    if isReceiving { readFailed(.ended) }
  }

  /// What the filter says of its failure still leaves, then the connection ends.
  private func fail(_ failure: FilterFailure) {
    guard let filtering, filtering.failure == nil else { return }
    filtering.failure = SystemError(
      code: failure.isRefusal ? EKEYREJECTED : EPROTO, operation: "read", detail: failure.description)
    output.removeAll()
    closeAfterFlush()
    flush()
  }

  /// Bytes of the handler that may have reached the peer, since the connection opened.
  package var payloadBytesSent: UInt64 { filtering?.bytesTaken ?? bytesSent }

  /// Filters and writes what is to be sent, a part at a time where the filter wants it so.
  ///
  /// - Returns: whether all that the filter let pass has left. What it holds back waits for the peer.
  internal func flush(through filtering: Filtering) -> Bool {
    while true {
      let before = output.count
      filterOutput(filtering)
      guard hasWritten(write(&filtering.wire.value)) else { return false }
      guard !output.isEmpty, output.count < before else { break }
    }
    loop.buffers.value.giveBack(&filtering.wire.value)
    return true
  }

  /// Filters what is to be sent, and after the last of it the end.
  private func filterOutput(_ filtering: Filtering) {
    guard filtering.failure == nil else { return output.removeAll() }
    if !output.isEmpty {
      let before = output.count
      filtering.filter.send(&output, into: &filtering.wire.value)
      filtering.bytesTaken &+= UInt64(before - output.count)
    }
    guard state.closesAfterFlush, output.isEmpty, !filtering.hasEnded else { return }
    filtering.hasEnded = true
    filtering.filter.end(into: &filtering.wire.value)
  }
}
