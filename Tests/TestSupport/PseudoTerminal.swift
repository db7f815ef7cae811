import Glibc
public import RPCSystem

/// A pair of ends: what is written into ours is typed on the terminal at `path`, which a program opens.
public enum PseudoTerminal {
  /// TIOCSPTLCK and TIOCGPTN: what posix_openpt, unlockpt and ptsname do, which Swift does not see.
  private static let setLock: UInt = 0x4004_5431
  private static let getNumber: UInt = 0x8004_5430

  public static func open() throws(SystemError) -> (descriptor: Int32, path: String) {
    let descriptor = Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var isLocked: Int32 = 0
    var number: UInt32 = 0
    guard descriptor >= 0, ioctl(descriptor, setLock, &isLocked) == 0,
      ioctl(descriptor, getNumber, &number) == 0
    else { throw .last("open a terminal") }
    return (descriptor, "/dev/pts/\(number)")
  }
}
