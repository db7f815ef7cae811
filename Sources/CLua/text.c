#define _GNU_SOURCE
#include "builder.h"
#include "text.h"

// The string library: what works on long strings is either as fast as copying them or pauses on its way.

enum { kPatternBytes = 64 * 1024, kNumeralBytes = 256 };

static size_t start_position(lua_Integer position, size_t length) {
  if (position > 0) return (size_t)position;
  if (position == 0) return 1;
  return position < -(lua_Integer)length ? 1 : length + (size_t)position + 1;
}

// MARK: find, match

struct search {
  struct match match;
  const char *start, *pattern;
  bool is_find, is_anchored;
};

static enum match_result search_on(lua_State *L, struct search *search) {
  for (;;) {
    enum match_result result = match_run(L, &search->match);
    if (result != match_failed) return result;
    if (search->is_anchored || search->start >= search->match.subject_end) return match_failed;
    search->start++;
    match_begin(&search->match, search->start, search->pattern);
    if (must_pause(L)) return match_paused;
  }
}

static int search_continued(lua_State *L, int status, lua_KContext context);

static int search_result(lua_State *L, struct search *search, enum match_result result, bool is_kept) {
  if (result == match_paused) {
    if (!is_kept) {
      // Off the C stack, which does not survive the pause.
      struct search *kept = lua_newuserdatauv(L, sizeof *kept, 0);
      *kept = *search;
    }
    return lua_yieldk(L, 0, 0, search_continued);
  }
  if (result == match_failed) {
    lua_pushnil(L);
    return 1;
  }
  struct match *match = &search->match;
  if (!search->is_find) return match_push_captures(L, match, search->start, match->s);
  lua_pushinteger(L, search->start - match->subject + 1);
  lua_pushinteger(L, match->s - match->subject);
  return match_push_captures(L, match, NULL, NULL) + 2;
}

static int search_continued(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  struct search *search = lua_touserdata(L, -1);
  return search_result(L, search, search_on(L, search), true);
}

static bool is_plain(const char *pattern, size_t count) {
  for (size_t index = 0; index < count; index++)
    if (pattern[index] && strchr("^$*+?.([%-", pattern[index])) return false;
  return true;
}

void check_pattern_length(lua_State *L, size_t count, bool is_find) {
  // Every step of a match may have to look at the whole of it.
  if (count > kPatternBytes)
    luaL_error(L, "a pattern of %I bytes is too long: the limit is %d bytes%s", (LUAI_UACINT)count, kPatternBytes,
               is_find ? " (a plain search has none: pass true as the fourth argument)" : "");
}

static int search(lua_State *L, bool is_find) {
  size_t subject_length, pattern_length;
  const char *subject = luaL_checklstring(L, 1, &subject_length);
  const char *pattern = luaL_checklstring(L, 2, &pattern_length);
  size_t from = start_position(rpclua_optional_integer(L, 3, 1), subject_length) - 1;
  if (from > subject_length) {
    lua_pushnil(L);
    return 1;
  }
  bool is_plain_asked = is_find && lua_toboolean(L, 4);
  if (!is_plain_asked) check_pattern_length(L, pattern_length, is_find);
  if (is_plain_asked || (is_find && is_plain(pattern, pattern_length))) {
    return plain_find(L, subject, subject_length, from, pattern, pattern_length);
  }
  struct search search;
  search.is_find = is_find;
  search.is_anchored = *pattern == '^';
  search.pattern = pattern + search.is_anchored;
  search.start = subject + from;
  string_match_init(&search.match, subject, subject_length, pattern, pattern_length);
  match_begin(&search.match, search.start, search.pattern);
  return search_result(L, &search, search_on(L, &search), false);
}

void string_match_init(
    struct match *match, const char *subject, size_t count, const char *pattern, size_t pattern_count) {
  match->subject = subject;
  match->subject_end = subject + count;
  match->pattern_end = pattern + pattern_count;
}

static int find(lua_State *L) { return search(L, true); }
static int match(lua_State *L) { return search(L, false); }

// MARK: gmatch

struct iteration {
  struct match match;
  const char *start, *last, *pattern;
  bool is_running;
};

static int next_match(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  struct iteration *it = lua_touserdata(L, lua_upvalueindex(3));
  for (;;) {
    if (!it->is_running) {
      if (it->start > it->match.subject_end) return 0;
      match_begin(&it->match, it->start, it->pattern);
      it->is_running = true;
    }
    enum match_result result = match_run(L, &it->match);
    if (result == match_paused) return lua_yieldk(L, 0, 0, next_match);
    it->is_running = false;
    if (result == match_found && it->match.s != it->last) {
      const char *start = it->start;
      it->start = it->last = it->match.s;
      return match_push_captures(L, &it->match, start, it->last);
    }
    it->start++;
    if (must_pause(L)) return lua_yieldk(L, 0, 0, next_match);
  }
}

static int gmatch_next(lua_State *L) { return next_match(L, LUA_OK, 0); }

static int gmatch(lua_State *L) {
  size_t subject_length, pattern_length;
  const char *subject = luaL_checklstring(L, 1, &subject_length);
  const char *pattern = luaL_checklstring(L, 2, &pattern_length);
  size_t from = start_position(rpclua_optional_integer(L, 3, 1), subject_length) - 1;
  if (from > subject_length) from = subject_length + 1;
  check_pattern_length(L, pattern_length, false);
  lua_settop(L, 2);
  struct iteration *it = lua_newuserdatauv(L, sizeof *it, 0);
  string_match_init(&it->match, subject, subject_length, pattern, pattern_length);
  it->start = subject + from;
  it->last = NULL;
  it->pattern = pattern;
  it->is_running = false;
  lua_pushcclosure(L, gmatch_next, 3);
  return 1;
}

// MARK: Strings made in steps

/// Stack: text, count, separator, builder. What is there repeats the text and its separator, so that more of it
/// is copied from its own start.
static int rep_on(lua_State *L, int status, lua_KContext context) {
  (void)status;
  struct builder *builder = lua_touserdata(L, 4);
  size_t total = builder->capacity, unit = (size_t)context;
  while (builder->count < total) {
    size_t offset = builder->count % unit, more = builder->count - offset;
    if (more > total - builder->count) more = total - builder->count;
    if (more > kBytesPerStep) more = kBytesPerStep;
    memcpy(builder->bytes + builder->count, builder->bytes + offset, more);
    builder->count += more;
    if (must_pause(L)) return lua_yieldk(L, 0, context, rep_on);
  }
  if (!builder_finish(L, builder)) return lua_yieldk(L, 0, context, rep_on);
  return 1;
}

static int rep(lua_State *L) {
  size_t length, separator_length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer count = rpclua_integer(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &separator_length);
  size_t unit = length + separator_length;
  if (count <= 0 || unit == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  size_t total;
  if (__builtin_mul_overflow(unit, (size_t)count, &total)) rpclua_too_long(L, LUA_MAXINTEGER, true);
  total -= separator_length;
  if (total > machine_of(L)->limits.value_bytes) rpclua_too_long(L, total, false);
  if (total <= kSmallString) {
    char bytes[kSmallString];
    for (size_t at = 0; at < total;) {
      memcpy(bytes + at, text, length);
      at += length;
      if (at >= total) break;
      memcpy(bytes + at, separator, separator_length);
      at += separator_length;
    }
    lua_pushlstring(L, bytes, total);
    return 1;
  }
  lua_settop(L, 3);
  struct builder *builder = builder_push(L, total);
  builder_append(L, builder, text, length);
  if (count > 1) builder_append(L, builder, separator, separator_length);
  return rep_on(L, LUA_OK, (lua_KContext)unit);
}

typedef void change(char *to, const char *from, size_t count);

static void to_lower(char *to, const char *from, size_t count) {
  for (size_t index = 0; index < count; index++) {
    unsigned char c = (unsigned char)from[index];
    to[index] = (char)(c + ((unsigned char)(c - 'A') < 26 ? 32 : 0));
  }
}

static void to_upper(char *to, const char *from, size_t count) {
  for (size_t index = 0; index < count; index++) {
    unsigned char c = (unsigned char)from[index];
    to[index] = (char)(c - ((unsigned char)(c - 'a') < 26 ? 32 : 0));
  }
}

/// `from` is the end of what is taken.
static void to_reverse(char *to, const char *from, size_t count) {
  for (size_t index = 0; index < count; index++) to[index] = from[-1 - (ptrdiff_t)index];
}

/// Stack: text, builder. The context is the change.
static int change_on(lua_State *L, int status, lua_KContext context) {
  (void)status;
  change *change = (void *)context;
  size_t count;
  const char *text = lua_tolstring(L, 1, &count);
  struct builder *builder = lua_touserdata(L, 2);
  while (builder->count < count) {
    size_t at = builder->count, step = count - at < kBytesPerStep ? count - at : kBytesPerStep;
    change(builder->bytes + at, change == to_reverse ? text + count - at : text + at, step);
    builder->count += step;
    if (must_pause(L)) return lua_yieldk(L, 0, context, change_on);
  }
  if (!builder_finish(L, builder)) return lua_yieldk(L, 0, context, change_on);
  return 1;
}

static int changed(lua_State *L, change *change) {
  size_t count;
  const char *text = luaL_checklstring(L, 1, &count);
  if (count <= kSmallString) {
    char bytes[kSmallString];
    change(bytes, change == to_reverse ? text + count : text, count);
    lua_pushlstring(L, bytes, count);
    return 1;
  }
  lua_settop(L, 1);
  builder_push(L, count);
  return change_on(L, LUA_OK, (lua_KContext)change);
}

static int lower(lua_State *L) { return changed(L, to_lower); }
static int upper(lua_State *L) { return changed(L, to_upper); }
static int reverse(lua_State *L) { return changed(L, to_reverse); }

/// Numerals that are computed with: reading one goes byte by byte.
static void guard_arithmetic(lua_State *L) {
  static const char *const events[] = {"__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__idiv", NULL};
  for (const char *const *event = events; *event; event++) {
    if (lua_getfield(L, -1, *event) != LUA_TFUNCTION) {
      lua_pop(L, 1);
      continue;
    }
    rpclua_guard(L, "arithmetic", kNumeralBytes);
    lua_setfield(L, -2, *event);
  }
}

void rpclua_open_strings(lua_State *L) {
  static const luaL_Reg ours[] = {
      {"find", find},   {"match", match}, {"gmatch", gmatch},   {"gsub", string_gsub}, {"rep", rep},
      {"lower", lower}, {"upper", upper}, {"reverse", reverse}, {NULL, NULL}};
  luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
  luaL_setfuncs(L, ours, 0);
  wrap_formats(L);
  static const struct { const char *name; unsigned numbers; } guarded[] = {{"byte", 6}, {"sub", 6}};
  for (size_t index = 0; index < sizeof guarded / sizeof *guarded; index++) {
    lua_getfield(L, -1, guarded[index].name);
    rpclua_guard_numbers(L, guarded[index].numbers);
    lua_setfield(L, -2, guarded[index].name);
  }
  // Compiled code is neither taken nor given.
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_setglobal(L, LUA_STRLIBNAME);
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  guard_arithmetic(L);
  lua_pop(L, 2);
}
