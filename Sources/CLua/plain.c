#define _GNU_SOURCE
#include "text.h"

#include <stdlib.h>

// string.find without patterns, in steps between which it can pause. A short string is looked for by the C
// library, a window at a time. A long one by a rolling checksum (Karp and Rabin, 1987) modulo a prime and to a
// base that nobody can guess, so that no text makes it slower than linear.

enum { kShortMax = 512, kWindow = 64 * 1024, kBytesBetweenPolls = 4096 };

static const uint64_t kPrime = ((uint64_t)1 << 61) - 1;

struct finder {
  const char *subject, *pattern;
  size_t count, pattern_count, at;
  /// Checksums of the pattern and of as much of the subject, and the weight of the byte that leaves.
  uint64_t wanted, rolling, weight, base;
  size_t prepared;
};

static uint64_t multiply(uint64_t left, uint64_t right) {
  __uint128_t product = (__uint128_t)left * right;
  uint64_t sum = (uint64_t)(product & kPrime) + (uint64_t)(product >> 61);
  return sum >= kPrime ? sum - kPrime : sum;
}

static uint64_t shift_in(uint64_t sum, uint64_t base, unsigned char byte) {
  uint64_t result = multiply(sum, base) + byte + 1;
  return result >= kPrime ? result - kPrime : result;
}

enum { finding_paused = -2, not_found = -1 };

static ptrdiff_t find_short(lua_State *L, struct finder *f) {
  while (f->count - f->at >= f->pattern_count) {
    size_t window = kWindow + f->pattern_count;
    if (window > f->count - f->at) window = f->count - f->at;
    const char *found = memmem(f->subject + f->at, window, f->pattern, f->pattern_count);
    if (found) return found - f->subject;
    if (window == f->count - f->at) return not_found;
    f->at += window - f->pattern_count + 1;
    if (must_pause(L)) return finding_paused;
  }
  return not_found;
}

static ptrdiff_t find_long(lua_State *L, struct finder *f) {
  if (f->count - f->at < f->pattern_count && f->prepared == 0) return not_found;
  for (size_t work = 0;; work++) {
    if (work % kBytesBetweenPolls == kBytesBetweenPolls - 1 && must_pause(L)) return finding_paused;
    if (f->prepared < f->pattern_count) {
      f->wanted = shift_in(f->wanted, f->base, (unsigned char)f->pattern[f->prepared]);
      f->rolling = shift_in(f->rolling, f->base, (unsigned char)f->subject[f->at + f->prepared]);
      if (f->prepared > 0) f->weight = multiply(f->weight, f->base);
      f->prepared++;
      continue;
    }
    if (f->rolling == f->wanted && memcmp(f->subject + f->at, f->pattern, f->pattern_count) == 0)
      return (ptrdiff_t)f->at;
    if (f->at + f->pattern_count >= f->count) return not_found;
    uint64_t leaving = multiply(f->weight, (uint64_t)(unsigned char)f->subject[f->at] + 1);
    uint64_t rest = f->rolling >= leaving ? f->rolling - leaving : f->rolling + kPrime - leaving;
    f->rolling = shift_in(rest, f->base, (unsigned char)f->subject[f->at + f->pattern_count]);
    f->at++;
  }
}

static int continued(lua_State *L, int status, lua_KContext context);

static int go_on(lua_State *L, struct finder *finder, bool is_kept) {
  ptrdiff_t found = finder->pattern_count <= kShortMax ? find_short(L, finder) : find_long(L, finder);
  if (found == finding_paused) {
    if (!is_kept) {
      struct finder *kept = lua_newuserdatauv(L, sizeof *kept, 0);
      *kept = *finder;
    }
    return lua_yieldk(L, 0, 0, continued);
  }
  if (found == not_found) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushinteger(L, found + 1);
  lua_pushinteger(L, found + (lua_Integer)finder->pattern_count);
  return 2;
}

static int continued(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return go_on(L, lua_touserdata(L, -1), true);
}

int plain_find(
    lua_State *L, const char *subject, size_t count, size_t from, const char *pattern, size_t pattern_count) {
  struct finder finder = {subject, pattern, count, pattern_count, from, 0, 0, 1, 0, 0};
  if (pattern_count > kShortMax) {
    machine_of(L)->critical = 1;
    arc4random_buf(&finder.base, sizeof finder.base);
    machine_of(L)->critical = 0;
    finder.base = finder.base % (kPrime - 1000) + 500;
  }
  return go_on(L, &finder, false);
}
