import Glibc
import RPCSystem

/// What tells whether a file was written or replaced since it was looked at, without reading it.
struct FileStamp: Equatable {
  private var device: dev_t = 0
  private var inode: ino_t = 0
  private var size: off_t = 0
  private var changed: [Int] = []
  /// Why the file could not be looked at, 0 where it could.
  private var code: Int32 = 0
  /// Whether a later write is sure to leave another stamp. File systems count time in steps of up to 2 s, and one that
  /// was changed within the last step may be changed in it again.
  private(set) var isSettled = true

  /// - Parameter wallSeconds: the time now, in seconds since 1970.
  init(of path: String, wallSeconds: Int = Int(SystemClock.wallMilliseconds() / 1000)) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      code = errno
      return
    }
    (device, inode, size) = (status.st_dev, status.st_ino, status.st_size)
    changed = [
      status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
    ]
    // A clock that was set back says nothing: such a file is read each time.
    isSettled = max(changed[0], changed[2]) + 2 < wallSeconds
  }
}
