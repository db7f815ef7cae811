package import RPCWire

/// A procedure whose calls run where they are read, as far as they come before others would have to wait: one that ends
/// there needs no object, and its values are neither copied nor kept. Confined to a loop, like its runtime.
package protocol SpotProcedure: AnyObject {
  /// Runs a call. What its procedure asks of it, it asks of the `RunningCall` of this thread.
  ///
  /// - Parameters:
  ///   - arguments: a MessagePack list, not checked yet; it needs to last until this returns.
  ///   - output: takes the return values as a MessagePack list that fits the declared types, and nothing unless the call
  ///     is done.
  func run(_ arguments: RawSpan, into output: inout ByteQueue) -> SpotEnd
}

/// How far a call came where it was read.
package enum SpotEnd {
  case done
  /// Nothing has run: it takes the way of all other calls.
  case notRun
  /// It has begun, and goes on, or fails.
  case left(any SpotRest)
}

/// What is left to do of a call that was begun where it was read. It must be gone on with at once.
package protocol SpotRest: AnyObject {
  /// Goes on with it, as a call like every other.
  func goOn(as invocation: Invocation)
}
