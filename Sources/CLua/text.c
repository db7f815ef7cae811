#define _GNU_SOURCE
#include "text.h"

// The string library: what works on long strings is either as fast as copying them or pauses on its way.

enum { kFormatBytes = 64 * 1024, kFormatValues = 256, kQuotedBytes = 1024 * 1024, kPackFormatBytes = 1024, kNumeralBytes = 256 };

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

static int search(lua_State *L, bool is_find) {
  size_t subject_length, pattern_length;
  const char *subject = luaL_checklstring(L, 1, &subject_length);
  const char *pattern = luaL_checklstring(L, 2, &pattern_length);
  size_t from = start_position(luaL_optinteger(L, 3, 1), subject_length) - 1;
  if (from > subject_length) {
    lua_pushnil(L);
    return 1;
  }
  if (is_find && (lua_toboolean(L, 4) || is_plain(pattern, pattern_length))) {
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
  size_t from = start_position(luaL_optinteger(L, 3, 1), subject_length) - 1;
  if (from > subject_length) from = subject_length + 1;
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

// MARK: Strings made at once

/// A new string of `count` bytes, to be filled before anything else is pushed.
static char *begin_string(lua_State *L, luaL_Buffer *buffer, size_t count, const char *function) {
  if (count > machine_of(L)->limits.value_bytes)
    luaL_error(L, "string.%s: a string of %I bytes, the limit is %I", function, (LUAI_UACINT)count,
               (LUAI_UACINT)machine_of(L)->limits.value_bytes);
  return luaL_buffinitsize(L, buffer, count);
}

static int rep(lua_State *L) {
  size_t length, separator_length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer count = luaL_checkinteger(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &separator_length);
  size_t unit = length + separator_length;
  if (count <= 0 || unit == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  size_t limit = machine_of(L)->limits.value_bytes;
  size_t total = (size_t)count > limit / unit + 1 ? SIZE_MAX : unit * (size_t)count - separator_length;
  luaL_Buffer buffer;
  char *bytes = begin_string(L, &buffer, total, "rep");
  size_t done = 0;
  memcpy(bytes, text, length);
  done = length;
  if (total > length) {
    memcpy(bytes + done, separator, separator_length);
    done += separator_length;
  }
  // What is there is a whole number of units, so that doubling keeps the order.
  while (done < total) {
    size_t more = done < total - done ? done : total - done;
    memcpy(bytes + done, bytes, more);
    done += more;
  }
  luaL_pushresultsize(&buffer, total);
  return 1;
}

static int lower(lua_State *L) {
  size_t count;
  const char *text = luaL_checklstring(L, 1, &count);
  luaL_Buffer buffer;
  char *bytes = begin_string(L, &buffer, count, "lower");
  for (size_t index = 0; index < count; index++) {
    unsigned char c = (unsigned char)text[index];
    bytes[index] = (char)(c + ((unsigned char)(c - 'A') < 26 ? 32 : 0));
  }
  luaL_pushresultsize(&buffer, count);
  return 1;
}

static int upper(lua_State *L) {
  size_t count;
  const char *text = luaL_checklstring(L, 1, &count);
  luaL_Buffer buffer;
  char *bytes = begin_string(L, &buffer, count, "upper");
  for (size_t index = 0; index < count; index++) {
    unsigned char c = (unsigned char)text[index];
    bytes[index] = (char)(c - ((unsigned char)(c - 'a') < 26 ? 32 : 0));
  }
  luaL_pushresultsize(&buffer, count);
  return 1;
}

static int reverse(lua_State *L) {
  size_t count;
  const char *text = luaL_checklstring(L, 1, &count);
  luaL_Buffer buffer;
  char *bytes = begin_string(L, &buffer, count, "reverse");
  for (size_t index = 0; index < count; index++) bytes[index] = text[count - 1 - index];
  luaL_pushresultsize(&buffer, count);
  return 1;
}

/// Upvalue: the library's own format. Quoting goes byte by byte, so that it may have less of them.
static int format(lua_State *L) {
  size_t count;
  const char *pattern = luaL_checklstring(L, 1, &count);
  int top = lua_gettop(L);
  if (count > kFormatBytes) return luaL_error(L, "string.format: a format of more than %d bytes", kFormatBytes);
  if (top > kFormatValues) return luaL_error(L, "string.format: more than %d values", kFormatValues);
  if (memchr(pattern, 'q', count)) {
    for (int index = 2; index <= top; index++)
      if (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > kQuotedBytes)
        return luaL_error(L, "string.format: a string of more than %d bytes for %%q", kQuotedBytes);
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/// Upvalue: the library's own function, whose format is its first argument.
static int packing(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING && lua_rawlen(L, 1) > kPackFormatBytes)
    return luaL_error(L, "a format of more than %d bytes", kPackFormatBytes);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void wrap(lua_State *L, const char *name, lua_CFunction wrapper) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, wrapper, 1);
  lua_setfield(L, -2, name);
}

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
  wrap(L, "format", format);
  wrap(L, "pack", packing);
  wrap(L, "unpack", packing);
  wrap(L, "packsize", packing);
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
