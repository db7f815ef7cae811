internal import Glibc

/// Owns one file descriptor and closes it at the end of its life.
public struct Descriptor: ~Copyable, Sendable {
  public let raw: Int32

  public init(_ raw: Int32) {
    precondition(raw >= 0, "no descriptor is negative")
    self.raw = raw
  }

  deinit {
    // EINTR on close leaves the descriptor closed on Linux; there is nothing to repeat.
    _ = Glibc.close(raw)
  }

  /// Gives the descriptor up to somebody who will close it.
  public consuming func release() -> Int32 {
    let raw = raw
    discard self
    return raw
  }
}
