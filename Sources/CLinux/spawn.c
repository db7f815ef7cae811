#define _GNU_SOURCE
#include "CLinux.h"

#include <sys/mman.h>

int rpc_memory_file(const char *name, const void *bytes, size_t count) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return -1;
  const char *next = bytes;
  while (count > 0) {
    ssize_t written = write(fd, next, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      int code = errno;
      close(fd);
      errno = code;
      return -1;
    }
    next += written;
    count -= (size_t)written;
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

// Above everything a child is given, so that no dup2 overwrites the source of a later one.
enum { kAboveGiven = 64, kGivenMax = 8 };

int rpc_spawn(
    const char *program, char *const arguments[], char *const environment[], const int *given, int count, int alone,
    pid_t *pid) {
  int copies[kGivenMax], made = 0, status = 0;
  if (count > kGivenMax) return EINVAL;
  for (; made < count; made++) {
    int null = given[made] < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    copies[made] = fcntl(given[made] < 0 ? null : given[made], F_DUPFD_CLOEXEC, kAboveGiven);
    if (null >= 0) close(null);
    if (copies[made] < 0) {
      status = errno;
      break;
    }
  }
  if (status == 0) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int index = 0; index < count; index++)
      posix_spawn_file_actions_adddup2(&actions, copies[index], index);
    if (alone) posix_spawn_file_actions_addclosefrom_np(&actions, count);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (alone ? POSIX_SPAWN_SETSID : 0));
    status = posix_spawnp(pid, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  while (made > 0) close(copies[--made]);
  return status;
}
