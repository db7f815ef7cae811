/* Counts the allocations of a program that is started with LD_PRELOAD set to this library, in memory that
 * others can read while it runs:
 *
 *   LD_PRELOAD=count_allocations.so ALLOCATION_COUNTER=FILE program…
 *
 * FILE holds three little-endian numbers of 8 bytes: the allocations, their bytes, and how many of the next
 * allocations to show on standard error with their backtraces. Others write the third to find out who
 * allocates. */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library's own names of what is replaced here. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

struct counters {
  _Atomic uint64_t allocations, bytes;
  _Atomic int64_t shown;
};

static struct counters unshared;
static struct counters *counters = &unshared;

static __attribute__((constructor)) void open_counters(void) {
  const char *path = getenv("ALLOCATION_COUNTER");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (ftruncate(fd, sizeof *counters) == 0) {
    void *shared = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED) counters = shared;
  }
  close(fd);
  /* The first backtrace loads what it needs, which allocates. */
  void *frames[1];
  backtrace(frames, 1);
}

static void count(size_t size) {
  atomic_fetch_add_explicit(&counters->allocations, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&counters->bytes, size, memory_order_relaxed);
  if (atomic_load_explicit(&counters->shown, memory_order_relaxed) <= 0) return;
  if (atomic_fetch_sub(&counters->shown, 1) <= 0) return;
  void *frames[24];
  int depth = backtrace(frames, 24);
  backtrace_symbols_fd(frames, depth, STDERR_FILENO);
  if (write(STDERR_FILENO, "\n", 1) < 0) return;
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  count(size);
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  count(size);
  *memory = __libc_memalign(alignment, size);
  return *memory == NULL ? ENOMEM : 0;
}
