import Glibc

/// Ctrl-Z: the program stops as if it had never looked at the signal, and goes on when the shell that started it
/// says so.
enum Suspension {
  static func stop() {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTSTP)
    signal(SIGTSTP, SIG_DFL)
    raise(SIGTSTP)
    // Delivered here, by the kernel's own rules: nothing stops where nobody could say go on.
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }
}
