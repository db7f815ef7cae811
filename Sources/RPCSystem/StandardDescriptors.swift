internal import CLinux
internal import Glibc

/// Standard input, output and error: descriptors 0, 1 and 2, which a program may be started without.
package enum StandardDescriptors {
  /// Opens those that are closed on /dev/null. First thing in every `main`: the next socket or file would get the
  /// free number otherwise, and be read and written as if it were the terminal.
  ///
  /// They are opened for reading alone: input ends at once, and what is written to them fails as it would on a
  /// closed descriptor, so that a program can report that nobody got its output.
  package static func openMissing() {
    for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // The lowest free number is taken, and all below this one are open.
      _ = rpc_open("/dev/null", O_RDONLY, 0)
    }
  }
}
