import Glibc
import RPCSystem
import RPCWire
import Testing

@testable import RPCTransport

@Suite("The edges of epoll and sockets")
struct EdgeTests {
  /// Does what a test says when its descriptor is ready, and counts.
  private final class Watcher: EventHandler {
    var count = 0
    let body: (Watcher, Readiness, EventLoop) -> Void

    init(_ body: @escaping (Watcher, Readiness, EventLoop) -> Void) { self.body = body }

    func ready(_ readiness: Readiness, on loop: EventLoop) {
      count += 1
      body(self, readiness, loop)
    }
  }

  /// Counts what a connection tells, and reads everything.
  private final class Listening: ConnectionHandler {
    var bytes: [UInt8] = []
    var ends = 0
    var reasons: [CloseReason] = []
    var onEnd: (Connection) -> Void = { $0.close() }

    func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
      bytes.withUnsafeBytes { self.bytes.append(contentsOf: $0) }
      return bytes.byteCount
    }
    func inputEnded(on connection: Connection) {
      ends += 1
      onEnd(connection)
    }
    func closed(_ connection: Connection, reason: CloseReason) {
      reasons.append(reason)
      connection.loop.stop()
    }
  }

  // MARK: Stale events

  @Test(
    "an event of a descriptor that was closed earlier in the same turn reaches nobody, its slot's next owner neither"
  )
  func staleEvents() throws {
    let loop = try EventLoop()
    // Both are readable before the first wait, so that both events come in one turn.
    let pairs = try (0..<2).map { _ in try Socket.pair().takeRawEnds() }
    let replacement = try Socket.pair().takeRawEnds()
    defer {
      for end in pairs.flatMap({ [$0.near, $0.far] }) + [replacement.near, replacement.far] { close(end) }
    }
    for pair in pairs { #expect(write(pair.far, "x", 1) == 1) }
    var watches: [Watch?] = [nil, nil]
    let newcomer = Watcher { _, _, _ in }
    var handlers: [Watcher] = []
    for index in 0..<2 {
      handlers.append(
        Watcher { _, _, loop in
          // The first takes the other's place away and gives it to a third.
          if let other = watches[1 - index] { loop.unwatch(other) }
          watches[1 - index] = try? loop.watch(replacement.near, .readable, newcomer)
          loop.stop()
        })
    }
    for index in 0..<2 { watches[index] = try loop.watch(pairs[index].near, .readable, handlers[index]) }
    loop.run()
    #expect(handlers.map(\.count).sorted() == [0, 1])
    #expect(newcomer.count == 0)
  }

  @Test("a watch that is over changes nothing: its slot may have a new owner")
  func staleWatches() throws {
    let loop = try EventLoop()
    let old = try Socket.pair().takeRawEnds()
    let new = try Socket.pair().takeRawEnds()
    defer { for end in [old.near, old.far, new.near, new.far] { close(end) } }
    let heard = Watcher { _, _, loop in loop.stop() }
    let first = try loop.watch(old.near, .readable, heard)
    loop.unwatch(first)
    let second = try loop.watch(new.near, .readable, heard)
    #expect(first.slot == second.slot)
    loop.unwatch(first)
    try loop.update(first, .writable)
    #expect(write(new.far, "x", 1) == 1)
    loop.run()
    #expect(heard.count == 1)
  }

  // MARK: Ends

  @Test("a peer that ends its side alone is reported once, and can still be answered")
  func halfClose() throws {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    let connection = Connection(adopting: Descriptor(ends.near), on: loop)
    let handler = Listening()
    handler.onEnd = { connection in
      connection.send { $0.append(Array("answer".utf8)) }
      connection.closeAfterFlush()
    }
    try connection.start(handler)
    #expect(write(ends.far, "question", 8) == 8)
    shutdown(ends.far, Int32(SHUT_WR))
    loop.run()
    #expect(handler.bytes == Array("question".utf8))
    #expect(handler.ends == 1)
    #expect(handler.reasons == [.local])
    var answer = [UInt8](repeating: 0, count: 100)
    #expect(read(ends.far, &answer, 100) == 6)
    #expect(read(ends.far, &answer, 100) == 0)
    close(ends.far)
  }

  @Test("an end that was reported does not wake the loop again and again")
  func halfCloseIsQuiet() throws {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    let connection = Connection(adopting: Descriptor(ends.near), on: loop)
    let handler = Listening()
    var isReading: Bool?
    handler.onEnd = { connection in
      // While calls are in flight it stays open: a socket at its end is readable for ever.
      isReading = connection.isReading
      close(ends.far)
    }
    try connection.start(handler)
    shutdown(ends.far, Int32(SHUT_WR))
    loop.run()
    #expect(isReading == false)
    #expect(handler.ends == 1)
    #expect(handler.reasons == [.peer])
  }

  @Test("a peer that goes while nobody reads it is noticed all the same")
  func hangupWhilePaused() throws {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    let connection = Connection(adopting: Descriptor(ends.near), on: loop)
    let handler = Listening()
    try connection.start(handler)
    connection.pauseReading()
    close(ends.far)
    loop.run()
    #expect(handler.ends == 0)
    #expect(handler.reasons == [.peer])
  }

  @Test("a reset is a failure that says so, whether it is read or written into", arguments: [true, false])
  func reset(reads: Bool) throws {
    let loop = try EventLoop()
    guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else { return }
    let listener = try Socket.listen(on: any, backlog: 1)
    let address = try #require(SocketAddress.local(of: listener.raw))
    let far = try Socket.connect(to: address).release()
    var readable = pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0)
    #expect(poll(&readable, 1, 10_000) == 1)
    let near = accept(listener.raw, nil, nil)
    #expect(fcntl(near, F_SETFL, O_NONBLOCK) == 0)
    let connection = Connection(adopting: Descriptor(near), on: loop)
    let handler = Listening()
    try connection.start(handler)
    if !reads { connection.pauseReading() }
    // Closing with unread input resets the connection.
    #expect(write(near, "x", 1) == 1)
    var arrived = pollfd(fd: far, events: Int16(POLLIN), revents: 0)
    #expect(poll(&arrived, 1, 10_000) == 1)
    close(far)
    loop.run()
    let reason = try #require(handler.reasons.first)
    guard case .failed(let error) = reason else {
      Issue.record("\(reason)")
      return
    }
    #expect(error.code == ECONNRESET)
    #expect(handler.reasons.count == 1)
  }

  // MARK: Interrupted and partial system calls

  @Test("a read that a signal interrupts goes on and returns what comes then")
  func interruptedRead() throws {
    var action = sigaction()
    // Without SA_RESTART: the call returns EINTR.
    action.__sigaction_handler.sa_handler = { _ in }
    var previous = sigaction()
    sigaction(SIGUSR2, &action, &previous)
    defer { sigaction(SIGUSR2, &previous, nil) }
    var ends: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    let near = ends[0]
    let outcome = Lock<Transfer?>(nil)
    let identity = ThreadIdentity()
    let done = Latch()
    try LoopThread.spawn(name: "reader") {
      identity.take()
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
      defer { buffer.deallocate() }
      let result = Syscall.receive(near, buffer)
      outcome.withLock { $0 = result }
      done.signal()
    }
    for _ in 0..<20 { identity.interruptAsleep() }
    #expect(write(ends[1], "x", 1) == 1)
    done.wait()
    #expect(outcome.withLock { $0 } == .moved(1))
  }

  @Test("signals while the loop sleeps wake it for nothing and harm nothing")
  func interruptedWait() throws {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in }
    var previous = sigaction()
    sigaction(SIGUSR2, &action, &previous)
    defer { sigaction(SIGUSR2, &previous, nil) }
    let thread = try LoopThread(name: "interrupted")
    let identity = ThreadIdentity()
    thread.mailbox.post { _ in identity.take() }
    for _ in 0..<20 { identity.interruptAsleep() }
    let answered = Latch()
    thread.mailbox.post { _ in answered.signal() }
    answered.wait()
    thread.stop()
    thread.join()
  }

  @Test("what one write does not take goes with the next ones, in order, and the memory is given back")
  func partialWrites() throws {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    var small: Int32 = 4096
    setsockopt(ends.near, SOL_SOCKET, SO_SNDBUF, &small, socklen_t(MemoryLayout<Int32>.size))
    let connection = Connection(adopting: Descriptor(ends.near), on: loop)
    let handler = Listening()
    try connection.start(handler)
    let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    connection.send { $0.append(sent) }
    connection.flush()
    // The socket took a part of it, and no more.
    #expect(connection.outputBytes > 0)
    #expect(connection.outputBytes < sent.count)
    #expect(connection.bytesSent > 0)
    let collected = Lock<[UInt8]>([])
    let done = Latch()
    try LoopThread.spawn(name: "reader") {
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        var readable = pollfd(fd: ends.far, events: Int16(POLLIN), revents: 0)
        _ = poll(&readable, 1, -1)
        let count = read(ends.far, &buffer, buffer.count)
        if count < 0, errno == EAGAIN { continue }
        if count <= 0 { break }
        collected.withLock { $0.append(contentsOf: buffer[..<count]) }
      }
      close(ends.far)
      done.signal()
    }
    connection.closeAfterFlush()
    loop.run()
    done.wait()
    #expect(collected.withLock { $0 == sent })
    #expect(connection.outputBytes == 0)
    #expect(connection.bytesSent == UInt64(sent.count))
  }
}

/// A thread that a test interrupts.
private final class ThreadIdentity: Sendable {
  private let taken = Latch()
  private let known = Lock<(thread: pthread_t, status: String)?>(nil)

  /// Called on the thread.
  func take() {
    var path = [CChar](repeating: 0, count: 128)
    let count = readlink("/proc/thread-self", &path, path.count)
    let name = String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    known.withLock { $0 = (pthread_self(), "/proc/\(name)/stat") }
    taken.signal()
  }

  /// Sends the signal once the thread sleeps in its system call, as the kernel tells.
  func interruptAsleep() {
    taken.wait()
    guard let (thread, status) = known.withLock({ $0 }) else { return }
    while !isAsleep(status) { sched_yield() }
    pthread_kill(thread, SIGUSR2)
  }

  private func isAsleep(_ path: String) -> Bool {
    guard let file = fopen(path, "r") else { return false }
    defer { fclose(file) }
    var text = [UInt8](repeating: 0, count: 512)
    let count = fread(&text, 1, text.count, file)
    // `12 (name) S …`
    return String(decoding: text[..<count], as: UTF8.self).contains(") S ")
  }
}
