#include "builder.h"
#include "text.h"

// string.gsub, which pauses within a match, between two, and in the function that it calls.

struct state {
  const char *subject, *subject_end, *pattern, *start, *last, *found_end;
  size_t pattern_length;
  lua_Integer count, max;
  bool is_anchored;
  /// How far into the replacement the latest match got.
  size_t expanded;
  enum { kBetween, kMatching, kExpanding, kCalling } phase;
};

enum { kSubject = 1, kPattern = 2, kReplacement = 3, kOutput = 4, kState = 5, kMatch = 6 };

static void append(lua_State *L, const char *bytes, size_t count) {
  builder_append(L, lua_touserdata(L, kOutput), bytes, count);
}

/// The replacement string, with %0 to %9 and %% in it. False: paused.
static bool append_expanded(lua_State *L, struct match *match, struct state *state) {
  size_t count;
  const char *start = lua_tolstring(L, kReplacement, &count), *end = start + count;
  while (state->expanded < count) {
    const char *text = start + state->expanded;
    const char *escape = memchr(text, '%', (size_t)(end - text));
    append(L, text, (size_t)((escape ? escape : end) - text));
    if (!escape) break;
    char next = escape + 1 < end ? escape[1] : 0;
    if (next == '%') append(L, "%", 1);
    else if (next == '0') append(L, state->start, (size_t)(match->s - state->start));
    else if (next >= '1' && next <= '9') {
      match_push_capture(L, match, next - '1', state->start, match->s);
      size_t length;
      const char *capture = luaL_tolstring(L, -1, &length);
      append(L, capture, length);
      lua_pop(L, 2);
    } else {
      luaL_error(L, "invalid use of '%%' in replacement string");
    }
    state->expanded = (size_t)(escape - start) + 2;
    if (must_pause(L)) return false;
  }
  state->expanded = 0;
  return true;
}

/// The value on top, which a table or a function gave: false and nil keep what was matched.
static void append_value(lua_State *L, struct state *state) {
  if (!lua_toboolean(L, -1)) {
    append(L, state->start, (size_t)(state->found_end - state->start));
  } else {
    if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    size_t count;
    const char *text = lua_tolstring(L, -1, &count);
    append(L, text, count);
  }
  lua_pop(L, 1);
}

static int continued(lua_State *L, int status, lua_KContext context);

/// Leaves with the match kept off the C stack, which does not survive the pause.
static int pause_match(lua_State *L, struct match *match) {
  if (lua_type(L, kMatch) != LUA_TUSERDATA) {
    struct match *kept = lua_newuserdatauv(L, sizeof *kept, 0);
    *kept = *match;
    lua_replace(L, kMatch);
  }
  return lua_yieldk(L, 0, 0, continued);
}

static int finish(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  if (!builder_finish(L, lua_touserdata(L, kOutput))) return lua_yieldk(L, 0, 0, finish);
  lua_pushinteger(L, ((struct state *)lua_touserdata(L, kState))->count);
  return 2;
}

static int go_on(lua_State *L, struct match *match) {
  struct state *state = lua_touserdata(L, kState);
  if (state->phase == kCalling) goto called;
  if (state->phase == kExpanding) goto expanding;
  while (state->count < state->max) {
    if (state->phase != kMatching) match_begin(match, state->start, state->pattern);
    state->phase = kMatching;
    enum match_result result = match_run(L, match);
    if (result == match_paused) return pause_match(L, match);
    state->phase = kBetween;
    if (result == match_found && match->s != state->last) {
      state->count++;
      state->found_end = match->s;
      switch (lua_type(L, kReplacement)) {
      case LUA_TFUNCTION: {
        lua_pushvalue(L, kReplacement);
        int captures = match_push_captures(L, match, state->start, match->s);
        state->phase = kCalling;
        lua_callk(L, captures, 1, 0, continued);
      called:
        state->phase = kBetween;
        append_value(L, state);
        break;
      }
      case LUA_TTABLE:
        match_push_capture(L, match, 0, state->start, match->s);
        lua_gettable(L, kReplacement);
        append_value(L, state);
        break;
      default:
        state->phase = kExpanding;
      expanding:
        if (!append_expanded(L, match, state)) return pause_match(L, match);
        state->phase = kBetween;
      }
      state->start = state->last = state->found_end;
    } else if (state->start < state->subject_end) {
      append(L, state->start++, 1);
    } else {
      break;
    }
    if (state->is_anchored) break;
    if (must_pause(L)) return lua_yieldk(L, 0, 0, continued);
  }
  append(L, state->start, (size_t)(state->subject_end - state->start));
  return finish(L, LUA_OK, 0);
}

static int continued(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  struct match *kept = lua_touserdata(L, kMatch);
  if (kept) return go_on(L, kept);
  struct state *state = lua_touserdata(L, kState);
  struct match match;
  string_match_init(
      &match, state->subject, (size_t)(state->subject_end - state->subject), lua_tostring(L, kPattern),
      state->pattern_length);
  return go_on(L, &match);
}

int string_gsub(lua_State *L) {
  size_t subject_length, pattern_length;
  const char *subject = luaL_checklstring(L, kSubject, &subject_length);
  const char *pattern = luaL_checklstring(L, kPattern, &pattern_length);
  check_pattern_length(L, pattern_length, false);
  int type = lua_type(L, kReplacement);
  luaL_argexpected(
      L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, kReplacement,
      "string/function/table");
  lua_Integer max = rpclua_optional_integer(L, 4, (lua_Integer)subject_length + 1);
  lua_settop(L, 3);
  if (type == LUA_TNUMBER) lua_tostring(L, kReplacement);
  builder_push(L, subject_length < 256 ? 256 : subject_length);
  struct state *state = lua_newuserdatauv(L, sizeof *state, 0);
  state->subject = state->start = subject;
  state->subject_end = subject + subject_length;
  state->is_anchored = *pattern == '^';
  state->pattern = pattern + state->is_anchored;
  state->pattern_length = pattern_length;
  state->last = NULL;
  state->found_end = NULL;
  state->count = 0;
  state->expanded = 0;
  state->max = max;
  state->phase = kBetween;
  lua_pushnil(L);
  struct match match;
  string_match_init(&match, subject, subject_length, pattern, pattern_length);
  return go_on(L, &match);
}
