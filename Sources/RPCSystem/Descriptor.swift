internal import Glibc

/// Owns one file descriptor and closes it at the end of its life.
package struct Descriptor: ~Copyable, Sendable {
  package let raw: Int32

  package init(_ raw: Int32) {
    precondition(raw >= 0, "no descriptor is negative")
    self.raw = raw
  }

  deinit {
    // EINTR on close leaves the descriptor closed on Linux; there is nothing to repeat.
    _ = Glibc.close(raw)
  }

  /// Gives the descriptor up to somebody who will close it.
  package consuming func release() -> Int32 {
    let raw = raw
    discard self
    return raw
  }
}
