internal import Glibc

/// Knows which call a closure answers that runs on a loop just now. Nothing is made for a call that nobody asks about.
package protocol RunningCall: AnyObject {
  /// Nil while no closure runs.
  var context: CallContext? { get }
}

/// What closures that run on a thread ask for their call.
package final class RunningCallOffer {
  // Not weak: an object with a weak reference is counted the slow way, and every call counts this one. Who offered it
  // ends the offer.
  private unowned(unsafe) var call: (any RunningCall)?

  /// Has closures that run on this thread from now on ask `call`.
  package init(_ call: any RunningCall) {
    self.call = call
    if let before = Self.ofThread { before.release() }
    pthread_setspecific(Self.key, Unmanaged.passRetained(self).toOpaque())
  }

  /// To be called before `call` is gone.
  package func end() { call = nil }

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { offer in
      guard let offer else { return }
      Unmanaged<RunningCallOffer>.fromOpaque(offer).release()
    }
    precondition(status == 0, "a process has room for one more thread-local value")
    return key
  }()

  private static var ofThread: Unmanaged<RunningCallOffer>? {
    pthread_getspecific(key).map { Unmanaged<RunningCallOffer>.fromOpaque($0) }
  }

  /// That of the closure which runs on this thread, nil outside of one.
  internal static var context: CallContext? { ofThread?.takeUnretainedValue().call?.context }
}
