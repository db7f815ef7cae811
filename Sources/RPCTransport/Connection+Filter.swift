internal import Glibc
internal import RPCSystem
internal import RPCWire

/// A connection's filter, and what it has made ready for the socket.
internal final class Filtering {
  let filter: any ByteFilter
  let wire = LoopCell(ByteQueue())
  /// The filter has said that nothing more will be sent.
  var hasEnded = false

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
        try filtering.filter.inputEnded()
        readFailed(outcome)
      } catch {
        fail(error)
      }
    default: readFailed(outcome)
    }
  }

  /// Gives the filter what the socket gave, and the handler what the filter makes of it.
  internal func pass(_ bytes: RawSpan, _ filtering: Filtering) {
    let growth = input.value.growth(of: bytes.byteCount)
    let excess = growth > 0 ? excess(of: growth) : nil
    if let excess, input.value.count > Self.headBytes { refuseKeptInput(excess) }
    guard state.isOpen else { return }
    if input.value.allocatedBytes == 0 { input.value = loop.buffers.value.take() }
    let before = input.value.count
    var failure: FilterFailure?
    do throws(FilterFailure) {
      try filtering.filter.receive(bytes, into: &input.value, answering: &filtering.wire.value)
    } catch {
      failure = error
    }
    if input.value.isEmpty {
      loop.buffers.value.giveBack(&input.value)
    } else if input.value.count > before {
      // What came before the failure was said by the peer.
      if isReading { deliverKeptInput() } else { state.hasUndelivered = true }
      // The filter needed to see these bytes, but there is no memory for what is left of them.
      if excess != nil, isReceiving, !input.value.isEmpty {
        var rest = ByteQueue()
        swap(&rest, &input.value)
        keep(rest.bytes)
        loop.buffers.value.giveBack(&rest)
      }
    }
    if let failure, state.isOpen { fail(failure) }
  }

  /// What the filter says of its failure still leaves, as far as the socket takes it.
  private func fail(_ failure: FilterFailure) {
    if let filtering { _ = write(filtering.wire) }
    finish(.failed(SystemError(code: EPROTO, operation: "read", detail: failure.description)))
  }

  /// Filters what is to be sent, and after the last of it the end.
  internal func filterOutput(_ filtering: Filtering) {
    if !output.value.isEmpty { filtering.filter.send(&output.value, into: &filtering.wire.value) }
    guard state.closesAfterFlush, output.value.isEmpty, !filtering.hasEnded else { return }
    filtering.hasEnded = true
    filtering.filter.end(into: &filtering.wire.value)
  }
}
