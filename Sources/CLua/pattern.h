#pragma once
#include "internal.h"

// Lua's patterns on a matcher that keeps its choices in an array instead of on the C stack, so that it can be
// left in the middle of a match and entered again: a pattern that backtracks for minutes delays nobody.

enum { kCapturesMax = 32, kChoicesMax = 200, kUnfinished = -1, kPosition = -2 };

struct choice {
  const char *subject, *pattern, *end;
  /// '?' '*' '-' as in the pattern; '(' and ')' undo a capture.
  char kind;
  int capture;
  size_t count;
};

struct match {
  const char *subject, *subject_end, *pattern_end;
  const char *s, *p;
  /// Where a long step stands that was paused: '*' a repetition being counted, 'b' a %b being walked.
  char paused;
  const char *at;
  long nesting;
  int level, choices;
  struct {
    const char *start;
    ptrdiff_t length;
  } captures[kCapturesMax];
  struct choice stack[kChoicesMax];
};

enum match_result { match_failed, match_found, match_paused };

/// Aims at one place of the subject. Then `match_run` until it no longer returns `match_paused`; the end of
/// what it found is `s`.
void match_begin(struct match *match, const char *s, const char *p);
enum match_result match_run(lua_State *L, struct match *match);
/// Pushes capture `index`, or the whole match from `start` to `end` where the pattern has none.
void match_push_capture(lua_State *L, struct match *match, int index, const char *start, const char *end);
int match_push_captures(lua_State *L, struct match *match, const char *start, const char *end);
