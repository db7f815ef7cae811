internal import Glibc

/// Knows which call a closure answers that runs on a loop just now. Nothing is made for a call that nobody asks about.
package protocol RunningCall: AnyObject {
  /// Nil while no closure runs.
  var context: CallContext? { get }
}

/// The running call of each thread that has one.
package enum RunningCalls {
  private final class Box {
    weak var call: (any RunningCall)?
    init(_ call: any RunningCall) { self.call = call }
  }

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { box in
      guard let box else { return }
      Unmanaged<Box>.fromOpaque(box).release()
    }
    precondition(status == 0, "a process has room for one more thread-local value")
    return key
  }()

  private static var box: Box? {
    pthread_getspecific(key).map { Unmanaged<Box>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Has closures that run on this thread from now on ask `call`.
  package static func offer(_ call: any RunningCall) {
    if let box { return box.call = call }
    pthread_setspecific(key, Unmanaged.passRetained(Box(call)).toOpaque())
  }

  internal static var context: CallContext? { box?.call?.context }
}
