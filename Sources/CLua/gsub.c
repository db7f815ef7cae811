#include "text.h"

// string.gsub, which pauses within a match, between two, and in the function that it calls.

struct output {
  size_t count, capacity;
  char bytes[];
};

struct state {
  const char *subject, *subject_end, *pattern, *start, *last, *found_end;
  size_t pattern_length;
  lua_Integer count, max;
  bool is_anchored;
  enum { kBetween, kMatching, kCalling } phase;
};

enum { kSubject = 1, kPattern = 2, kReplacement = 3, kOutput = 4, kState = 5, kMatch = 6 };

static struct output *room(lua_State *L, size_t more) {
  struct output *output = lua_touserdata(L, kOutput);
  if (output->capacity - output->count >= more) return output;
  size_t capacity = (output->count + more) * 2;
  if (output->count + more > machine_of(L)->limits.value_bytes)
    luaL_error(L, "string.gsub: a string of more than %I bytes", (LUAI_UACINT)machine_of(L)->limits.value_bytes);
  if (capacity > machine_of(L)->limits.value_bytes) capacity = machine_of(L)->limits.value_bytes;
  struct output *larger = lua_newuserdatauv(L, sizeof *larger + capacity, 0);
  larger->count = output->count;
  larger->capacity = capacity;
  memcpy(larger->bytes, output->bytes, output->count);
  lua_replace(L, kOutput);
  return larger;
}

static void append(lua_State *L, const char *bytes, size_t count) {
  struct output *output = room(L, count);
  memcpy(output->bytes + output->count, bytes, count);
  output->count += count;
}

/// The replacement string, with %0 to %9 and %% in it.
static void append_expanded(lua_State *L, struct match *match, struct state *state) {
  size_t count;
  const char *text = lua_tolstring(L, kReplacement, &count), *end = text + count;
  while (text < end) {
    const char *escape = memchr(text, '%', (size_t)(end - text));
    append(L, text, (size_t)((escape ? escape : end) - text));
    if (!escape) return;
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
    text = escape + 2;
  }
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

static int go_on(lua_State *L, struct match *match) {
  struct state *state = lua_touserdata(L, kState);
  if (state->phase == kCalling) goto called;
  while (state->count < state->max) {
    if (state->phase != kMatching) match_begin(match, state->start, state->pattern);
    state->phase = kMatching;
    enum match_result result = match_run(L, match);
    if (result == match_paused) {
      if (lua_type(L, kMatch) != LUA_TUSERDATA) {
        struct match *kept = lua_newuserdatauv(L, sizeof *kept, 0);
        *kept = *match;
        lua_replace(L, kMatch);
      }
      return lua_yieldk(L, 0, 0, continued);
    }
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
      default: append_expanded(L, match, state);
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
  struct output *output = lua_touserdata(L, kOutput);
  lua_pushlstring(L, output->bytes, output->count);
  lua_pushinteger(L, state->count);
  return 2;
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
  int type = lua_type(L, kReplacement);
  luaL_argexpected(
      L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, kReplacement,
      "string/function/table");
  lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)subject_length + 1);
  lua_settop(L, 3);
  if (type == LUA_TNUMBER) lua_tostring(L, kReplacement);
  size_t capacity = subject_length < 256 ? 256 : subject_length;
  struct output *output = lua_newuserdatauv(L, sizeof *output + capacity, 0);
  output->count = 0;
  output->capacity = capacity;
  struct state *state = lua_newuserdatauv(L, sizeof *state, 0);
  state->subject = state->start = subject;
  state->subject_end = subject + subject_length;
  state->is_anchored = *pattern == '^';
  state->pattern = pattern + state->is_anchored;
  state->pattern_length = pattern_length;
  state->last = NULL;
  state->found_end = NULL;
  state->count = 0;
  state->max = max;
  state->phase = kBetween;
  lua_pushnil(L);
  struct match match;
  string_match_init(&match, subject, subject_length, pattern, pattern_length);
  return go_on(L, &match);
}
