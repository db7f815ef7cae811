internal import RPCWire

/// What a connection holds, in the account of all.
extension Connection {
  /// Whether the peer is one that nobody knows, and so shares less memory.
  package var isStranger: Bool {
    get { state.isStranger }
    set {
      guard newValue != state.isStranger else { return }
      budget?.move(countedBytes, toStrangers: newValue)
      state.isStranger = newValue
    }
  }

  /// Keeps `bytes` more, or with a negative number less, for the handler: counted like the connection's own buffers.
  package func hold(_ bytes: Int) {
    handlerBytes += bytes
    count()
  }

  /// What stands in the way of holding `bytes` more, see `MemoryBudget`.
  package func excess(of bytes: Int) -> (actual: Int, limit: Int)? {
    budget?.excess(of: bytes, isStranger: state.isStranger)
  }

  /// The beginning of a request is kept up to so many bytes whatever others hold: it tells whose request that is.
  internal static let headBytes = 256

  /// Keeps what the handler did not take, where there is memory for it.
  internal func keep(_ bytes: RawSpan) {
    if let excess = excess(of: max(bytes.byteCount, BufferPool.freshBytes)) {
      guard max(bytes.byteCount, bytesWanted) <= Self.headBytes else { return refuse(bytes, excess) }
    } else {
      input = loop.buffers.value.take()
    }
    input.append(bytes)
    state.hasUndelivered = bytesWanted <= input.count
  }

  /// How many bytes to read behind those that are kept: as many as the request lacks, in steps that grow with what the
  /// peer really sent. Nil where there is no memory for them, and what was kept is dropped.
  internal func nextStep() -> Int? {
    let missing = min(max(bytesWanted - input.count, 1), EventLoop.readBytesMax)
    let step = max(missing, 16 * 1024)
    let growth = input.growth(of: step)
    // No buffer grows for more than the request that is in it; what is free of it is filled at once.
    if growth > 0, input.growth(of: missing) == 0 { return input.spareBytes }
    guard growth > 0, let excess = excess(of: growth) else { return step }
    if bytesWanted <= Self.headBytes, input.count < Self.headBytes {
      return Self.headBytes - input.count
    }
    refuseKeptInput(excess)
    return nil
  }

  /// Drops what is kept, which there is no memory for.
  internal func refuseKeptInput(_ excess: (actual: Int, limit: Int)) {
    var kept = ByteQueue()
    swap(&kept, &input)
    state.hasUndelivered = false
    refuse(kept.bytes, excess)
    loop.buffers.value.giveBack(&kept)
  }

  /// Drops the beginning of a request: the handler has refused it, or ended the connection.
  private func refuse(_ bytes: RawSpan, _ excess: (actual: Int, limit: Int)) {
    bytesWanted = 0
    let isRefused = handler?.memoryExceeded(
      on: self, unfinished: bytes, actual: excess.actual, limit: excess.limit)
    precondition(isRefused == true || !isReceiving, "what there is no memory for is refused")
  }

  /// Brings the server's account of this connection up to date: nothing to do while it holds no buffers.
  @inline(__always)
  internal func count() {
    var now = input.allocatedBytes + output.allocatedBytes + handlerBytes
    if let filtering {
      now += filtering.wire.value.allocatedBytes
      if state.isOpen { now += filtering.filter.heldBytes }
    }
    if now != countedBytes { count(now) }
  }

  private func count(_ now: Int) {
    let growth = now - countedBytes
    countedBytes = now
    guard let budget else { return }
    budget.change(by: growth, isStranger: state.isStranger)
    // Replies that the peer does not read: nothing that could be said would reach it.
    guard growth > 0, state.isOpen, output.count > BufferPool.freshBytes,
      let excess = budget.excess(of: 0, isStranger: state.isStranger)
    else { return }
    _ = handler?.memoryExceeded(on: self, unfinished: nil, actual: excess.actual, limit: excess.limit)
    close()
  }
}
