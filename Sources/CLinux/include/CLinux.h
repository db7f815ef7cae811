#pragma once
// What Glibc's module leaves out of the kernel's interface, and the few calls whose C form Swift cannot
// express (variadic, macros). Nothing here may define _GNU_SOURCE: the system's types would then look otherwise
// in this module than in others, which the compiler refuses. The .c files may.

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/// accept4(2), which Glibc declares for GNU sources only.
int rpc_accept(int listener, struct sockaddr *address, socklen_t *length);

/// open(2) without its variadic mode.
int rpc_open(const char *path, int flags, unsigned mode);

// recv(2), send(2) and epoll_wait(2) without being points at which a thread can be cancelled: for that Glibc's own
// spend two atomic exchanges on each call in a program with threads, and nobody is cancelled here. The thread
// sanitizer knows Glibc's alone.
// Receiving from a socket is cheaper than reading it as a file, which takes the kernel some steps more.
static inline ssize_t rpc_receive(int fd, void *buffer, size_t count) {
#ifdef THREAD_SANITIZER
  return recv(fd, buffer, count, 0);
#else
  return syscall(SYS_recvfrom, fd, buffer, count, 0, (void *)0, (void *)0);
#endif
}
static inline ssize_t rpc_send(int fd, const void *buffer, size_t count, int flags) {
#ifdef THREAD_SANITIZER
  return send(fd, buffer, count, flags);
#else
  return syscall(SYS_sendto, fd, buffer, count, flags, (void *)0, 0);
#endif
}
static inline int rpc_epoll_wait(int epoll, struct epoll_event *events, int count, int milliseconds) {
#ifdef THREAD_SANITIZER
  return epoll_wait(epoll, events, count, milliseconds);
#else
  return (int)syscall(SYS_epoll_pwait, epoll, events, count, milliseconds, (void *)0, (size_t)8);
#endif
}

#ifdef THREAD_SANITIZER
/// Tells the thread sanitizer that all that was released at this address has happened before.
void __tsan_acquire(void *address);
static inline void rpc_acquire(void *address) { __tsan_acquire(address); }
#endif

/// Asks the processor to fetch `lines` cache lines from `address` on, which may be any: nothing is read.
static inline void rpc_prefetch(const void *address, int lines) {
  for (int line = 0; line < lines; line++) __builtin_prefetch((const char *)address + 64 * line);
}

/// fcntl(2) F_SETFL / F_GETFL for O_NONBLOCK.
int rpc_set_nonblocking(int fd, int enabled);

/// Sends `count` bytes with one descriptor attached (SCM_RIGHTS); returns the bytes sent, or -1 with errno.
ssize_t rpc_send_descriptor(int socket, const void *bytes, size_t count, int passed);

/// Names the calling thread; the first 15 bytes count.
int rpc_set_thread_name(const char *name);


/// Closes this process's memory, environment and descriptors to other processes of its user.
static inline void rpc_set_undumpable(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// A file in memory with these bytes, closed on exec: its descriptor, or -1 with errno.
int rpc_memory_file(const char *name, const void *bytes, size_t count);

/// Starts `program`, found in PATH, with default signals. Its descriptor i is `given[i]`, or /dev/null where that is
/// negative (at most 8). `alone` puts it in a session of its own with nothing else open; otherwise it inherits what is
/// not closed on exec. Returns 0 or an errno.
int rpc_spawn(
    const char *program, char *const arguments[], char *const environment[], const int *given, int count, int alone,
    pid_t *pid);

/// pidfd_open(2): a descriptor that is readable once the process has ended, or -1 with errno.
static inline int rpc_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }
