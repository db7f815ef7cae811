import RPCSystem
import RPCTransport
import RPCWire
import Synchronization

/// A well-behaved client that calls without pause while a test mistreats the server: none of its calls may
/// fail.
final class Neighbour: Sendable {
  private let isDone = Atomic(false)
  private let succeeded = Atomic(0)
  private let failed = Atomic(0)
  private let finished = Latch()

  init(port: Int) throws {
    let greeted = Latch()
    try LoopThread.spawn(name: "neighbour") { [self] in
      defer { finished.signal() }
      guard let peer = try? RawPeer.greeted(port: port),
        let add = try? peer.bind("math", "add", [.int, .int])
      else {
        failed.add(1, ordering: .relaxed)
        return greeted.signal()
      }
      repeat {
        let call = peer.startCall(add, [20, 22])
        let answer = peer.next()
        let isRight = answer?.header.callID == call && answer?.values == [42]
        if isRight { succeeded.add(1, ordering: .relaxed) } else { failed.add(1, ordering: .relaxed) }
        greeted.signal()
        if !isRight { return }
      } while !isDone.load(ordering: .relaxed)
    }
    // It is at work before the mistreatment begins.
    greeted.wait()
  }

  /// Whether it called to the end and every call was answered rightly.
  func wasLeftAlone() -> Bool {
    isDone.store(true, ordering: .relaxed)
    finished.wait()
    return failed.load(ordering: .relaxed) == 0 && succeeded.load(ordering: .relaxed) > 0
  }
}
