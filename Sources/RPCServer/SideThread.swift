internal import RPCTransport

/// The thread beside a loop, for what takes longer than others of the loop may wait: decoding, checking and encoding
/// what is long, one piece after the other. It is started with the first piece.
internal final class SideThread {
  // The loop's owner owns this too.
  private unowned(unsafe) let loop: EventLoop
  private var thread: LoopThread?

  init(beside loop: EventLoop) {
    self.loop = loop
  }

  /// Runs `work` beside the loop, and then `use` on it with the result, never before this returns. Neither runs once
  /// the loop has ended.
  func run<Result: Sendable>(
    _ work: @escaping @Sendable () -> Result, then use: @escaping (Result) -> Void
  ) {
    let mailbox = loop.mailbox
    let confined = LoopConfined(use, to: loop)
    let job: Mailbox.Work = { _ in
      let result = work()
      mailbox.post { loop in confined.on(loop)(result) }
    }
    if thread == nil { thread = try? LoopThread(name: "rpc-side") }
    // Where no thread can be started others wait, which is better than no answer.
    if thread?.mailbox.post(job) != true { mailbox.post(job) }
  }

  /// Ends the thread after the piece that it is at.
  func stop() {
    thread?.stop()
  }
}
