#define _GNU_SOURCE
#include "internal.h"

#include <sys/mman.h>

// Blocks up to 512 bytes come in steps of 16, up to 64 KiB in four steps for each doubling, larger ones are
// mapped each by itself. Lua tells every block's size when it gives it back, so that blocks need no header.
enum {
  kSmallMax = 512,
  kMediumMax = 65536,
  kFirstChunk = 64 * 1024,
  kChunk = 256 * 1024,
  // From here on a page fault for each 4 KiB would cost more than the rest.
  kHugeMin = 4 * 1024 * 1024,
  // Large blocks that are kept for the next one while a call runs: the system's part in giving a block back and
  // getting it again, page by page, takes longer than to fill it.
  kSpareBlocks = 4,
  kSpareArenaBytes = 40 * 1024 * 1024,
};

struct chunk {
  struct chunk *next;
  size_t size;
};

struct large {
  struct large *previous, *next;
  size_t size, padding;
};

static int class_of(size_t size) {
  if (size <= kSmallMax) return (int)((size + 15) / 16) - 1;
  size_t top = size - 1;
  int log = 63 - __builtin_clzll(top);
  return kSmallClasses + (log - 9) * 4 + (int)((top >> (log - 2)) & 3);
}

static size_t class_size(int class) {
  if (class < kSmallClasses) return ((size_t)class + 1) * 16;
  int log = 9 + (class - kSmallClasses) / 4, quarter = (class - kSmallClasses) % 4;
  return (size_t)(quarter + 5) << (log - 2);
}

static void *map(struct arena *arena, size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  if (size >= kHugeMin) madvise(memory, size, MADV_HUGEPAGE);
  arena->mapped += size;
  return memory;
}

static void *carve(struct arena *arena, size_t size) {
  if ((size_t)(arena->bump_end - arena->bump) < size) {
    size_t wanted = arena->chunks ? kChunk : kFirstChunk;
    if (wanted < size + sizeof(struct chunk)) wanted = kChunk;
    struct chunk *chunk = map(arena, wanted);
    if (!chunk) return NULL;
    chunk->next = arena->chunks;
    chunk->size = wanted;
    arena->chunks = chunk;
    arena->bump = (char *)(chunk + 1);
    arena->bump_end = (char *)chunk + wanted;
  }
  void *block = arena->bump;
  arena->bump += size;
  return block;
}

static size_t large_size(size_t size) { return (size + sizeof(struct large) + 4095) & ~(size_t)4095; }

static void link_large(struct arena *arena, struct large *large) {
  large->previous = NULL;
  large->next = arena->large;
  if (arena->large) arena->large->previous = large;
  arena->large = large;
}

static void unlink_large(struct arena *arena, struct large *large) {
  if (large->previous) large->previous->next = large->next;
  else arena->large = large->next;
  if (large->next) large->next->previous = large->previous;
}

static bool fits(const struct large *large, size_t wanted) {
  return large->size >= wanted && large->size <= wanted + wanted / 8;
}

bool arena_has_spare(const struct arena *arena, size_t size) {
  for (const struct large *large = arena->spare; large; large = large->next)
    if (fits(large, large_size(size))) return true;
  return false;
}

static struct large *take_spare(struct arena *arena, size_t wanted) {
  for (struct large **link = &arena->spare; *link; link = &(*link)->next) {
    struct large *large = *link;
    if (!fits(large, wanted)) continue;
    *link = large->next;
    arena->spare_bytes -= large->size;
    arena->spare_count--;
    return large;
  }
  return NULL;
}

void arena_trim(struct arena *arena) {
  for (struct large *large = arena->spare; large;) {
    struct large *next = large->next;
    arena->mapped -= large->size;
    munmap(large, large->size);
    large = next;
  }
  arena->spare = NULL;
  arena->spare_bytes = 0;
  arena->spare_count = 0;
}

void *arena_allocate(struct arena *arena, size_t size) {
  if (size <= kMediumMax) {
    int class = class_of(size);
    void *block = arena->free[class];
    if (block) {
      arena->free[class] = *(void **)block;
      return block;
    }
    return carve(arena, class_size(class));
  }
  struct large *large = take_spare(arena, large_size(size));
  if (!large) {
    large = map(arena, large_size(size));
    if (!large) return NULL;
    large->size = large_size(size);
  }
  link_large(arena, large);
  return large + 1;
}

void arena_free(struct arena *arena, void *block, size_t size) {
  if (size <= kMediumMax) {
    int class = class_of(size);
    *(void **)block = arena->free[class];
    arena->free[class] = block;
    return;
  }
  struct large *large = (struct large *)block - 1;
  unlink_large(arena, large);
  if (arena->spare_count < kSpareBlocks && arena->spare_bytes + large->size <= kSpareArenaBytes) {
    large->next = arena->spare;
    arena->spare = large;
    arena->spare_bytes += large->size;
    arena->spare_count++;
    return;
  }
  arena->mapped -= large->size;
  munmap(large, large->size);
}

void *arena_resize(struct arena *arena, void *block, size_t old_size, size_t size) {
  if (old_size <= kMediumMax && size <= kMediumMax) {
    if (class_of(old_size) == class_of(size)) return block;
  } else if (old_size > kMediumMax && size > kMediumMax) {
    struct large *large = (struct large *)block - 1;
    size_t wanted = large_size(size), had = large->size;
    if (wanted == had) return block;
    unlink_large(arena, large);
    struct large *moved = mremap(large, had, wanted, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
      link_large(arena, large);
      return size < old_size ? block : NULL;
    }
    if (wanted >= kHugeMin) madvise(moved, wanted, MADV_HUGEPAGE);
    arena->mapped = arena->mapped - had + wanted;
    moved->size = wanted;
    link_large(arena, moved);
    return moved + 1;
  }
  void *moved = arena_allocate(arena, size);
  if (!moved) {
    // Lua relies on shrinking; a small block in the list of smaller ones is only a little lost, but a mapped
    // one could not be told from them.
    return size < old_size && old_size <= kMediumMax ? block : NULL;
  }
  memcpy(moved, block, old_size < size ? old_size : size);
  arena_free(arena, block, old_size);
  return moved;
}

void arena_unmap(struct arena *arena) {
  arena_trim(arena);
  for (struct large *large = arena->large; large;) {
    struct large *next = large->next;
    munmap(large, large->size);
    large = next;
  }
  for (struct chunk *chunk = arena->chunks; chunk;) {
    struct chunk *next = chunk->next;
    munmap(chunk, chunk->size);
    chunk = next;
  }
  memset(arena, 0, sizeof *arena);
}
