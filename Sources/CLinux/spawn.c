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
enum { kAboveKept = 64 };

int rpc_spawn_session(
    const char *program, char *const arguments[], char *const environment[], const int *kept, int count,
    pid_t *pid) {
  int copies[8], made = 0, status = 0;
  if (count > 8) return EINVAL;
  for (; made < count; made++) {
    copies[made] = fcntl(kept[made], F_DUPFD_CLOEXEC, kAboveKept);
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
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    for (int index = 0; index < count; index++)
      posix_spawn_file_actions_adddup2(&actions, copies[index], 3 + index);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3 + count);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    status = posix_spawnp(pid, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  while (made > 0) close(copies[--made]);
  return status;
}
