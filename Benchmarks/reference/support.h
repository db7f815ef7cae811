/* What the reference server and the load generator share besides the protocol: a byte queue, clocks,
 * pinning. */
#pragma once

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct bytes {
  uint8_t *base;
  size_t start, end, capacity;
};

static inline void *must(void *memory) {
  if (memory == NULL) {
    fputs("out of memory\n", stderr);
    exit(1);
  }
  return memory;
}

static inline void reserve(struct bytes *b, size_t extra) {
  if (b->capacity - b->end >= extra) return;
  size_t used = b->end - b->start;
  if (b->start > 0) memmove(b->base, b->base + b->start, used);
  b->start = 0;
  b->end = used;
  if (b->capacity - used >= extra) return;
  b->capacity = used + extra > 2 * b->capacity ? used + extra : 2 * b->capacity;
  b->base = must(realloc(b->base, b->capacity));
}

static inline void append(struct bytes *b, const void *from, size_t count) {
  reserve(b, count);
  memcpy(b->base + b->end, from, count);
  b->end += count;
}

static inline uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) return 0;
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* Keeps the program on one core, so that the loop and its peer do not share one by chance. */
static inline void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) perror("cannot pin");
}

/* As many descriptors as the system lets us have. */
static inline void raise_file_limit(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}
