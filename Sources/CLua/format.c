#include "builder.h"
#include "text.h"

// string.format and string.pack, which the library does byte by byte where it cannot be paused: what they are
// given is bounded, and what they show has no address in it.

enum {
  kFormatBytes = 64 * 1024,
  kFormatValues = 256,
  kQuotedBytes = 1024 * 1024,
  kPackFormatBytes = 1024,
  kPaddedBytes = 1024 * 1024,
};

static int too_long(lua_State *L, const char *what, size_t bytes, int limit) {
  return luaL_error(L, "%s of %I bytes is too long: the limit is %d bytes", what, (LUAI_UACINT)bytes, limit);
}

/// What a format takes: the strings as they are, and those it looks at byte by byte.
struct taken {
  size_t plain, examined;
};

/// `value` shown by the conversion at `letter`, a '%' that has `between` bytes of options.
static void take(lua_State *L, struct taken *taken, int value, char letter, size_t between) {
  bool is_string = lua_type(L, value) == LUA_TSTRING;
  switch (letter) {
  case 's':
    if (is_string) {
      if (between == 0) taken->plain += lua_rawlen(L, value);
      else taken->examined += lua_rawlen(L, value);
      return;
    }
    if (luaL_getmetafield(L, value, "__tostring") != LUA_TNIL) {
      lua_pop(L, 1);
      return;
    }
    rpclua_tolstring(L, value, NULL);
    lua_replace(L, value);
    return;
  case 'q':
    if (is_string) taken->examined += lua_rawlen(L, value);
    return;
  case 'p': return;
  default:
    if (is_string) rpclua_check_numeral(L, value);
  }
}

/// Replaces the conversions %p, of which there are some, by strings.
static void replace_pointers(lua_State *L, size_t count) {
  char *copy = lua_newuserdatauv(L, count, 0);
  memcpy(copy, lua_tostring(L, 1), count);
  int value = 1, top = lua_gettop(L) - 1;
  for (size_t at = 0; at < count; at++) {
    if (copy[at] != '%') continue;
    if (++at < count && copy[at] == '%') continue;
    value++;
    while (at < count && copy[at] && strchr("-+ #0123456789.", copy[at])) at++;
    if (at == count || copy[at] != 'p' || value > top) continue;
    copy[at] = 's';
    rpclua_push_identity(L, value);
    lua_replace(L, value);
  }
  lua_pushlstring(L, copy, count);
  lua_replace(L, 1);
  lua_pop(L, 1);
}

/// Upvalue: the library's own.
static int format(lua_State *L) {
  size_t count;
  const char *pattern = luaL_checklstring(L, 1, &count);
  int top = lua_gettop(L), value = 1;
  if (count > kFormatBytes) too_long(L, "a format", count, kFormatBytes);
  if (top > kFormatValues + 1)
    return luaL_error(L, "too many values to format (%d, the limit is %d)", top - 1, kFormatValues);
  struct taken taken = {0, 0};
  bool has_pointer = false;
  for (size_t at = 0; at < count; at++) {
    if (pattern[at] != '%') continue;
    if (++at < count && pattern[at] == '%') continue;
    size_t options = at;
    while (at < count && pattern[at] && strchr("-+ #0123456789.", pattern[at])) at++;
    if (at == count || ++value > top) break;
    has_pointer = has_pointer || pattern[at] == 'p';
    take(L, &taken, value, pattern[at], at - options);
  }
  if (taken.examined > kQuotedBytes) too_long(L, "a string for '%q' or with a width", taken.examined, kQuotedBytes);
  if (taken.plain > machine_of(L)->limits.value_bytes) rpclua_too_long(L, taken.plain, false);
  if (has_pointer) replace_pointers(L, count);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/// Upvalues: the library's own function, whose format is its first argument, and whether it fills fields up.
static int packing(lua_State *L) {
  size_t count, padded = 0, total = 0;
  const char *pattern = luaL_checklstring(L, 1, &count);
  if (count > kPackFormatBytes) too_long(L, "a format", count, kPackFormatBytes);
  bool pads = lua_toboolean(L, lua_upvalueindex(2));
  for (size_t at = 0; at < count && pads; at++) {
    if (pattern[at] != 'c') continue;
    size_t size = 0;
    for (; at + 1 < count && pattern[at + 1] >= '0' && pattern[at + 1] <= '9' && size <= kPaddedBytes; at++)
      size = size * 10 + (size_t)(pattern[at + 1] - '0');
    padded += size;
  }
  for (int index = 2; index <= lua_gettop(L); index++)
    if (lua_type(L, index) == LUA_TSTRING) total += lua_rawlen(L, index);
  // A field of fixed size is padded byte by byte.
  if (padded > kPaddedBytes && padded > total) too_long(L, "a field", padded, kPaddedBytes);
  if (total > machine_of(L)->limits.value_bytes) rpclua_too_long(L, total, false);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

bool makes_string(lua_CFunction function) {
  return function == format || function == packing;
}

static void wrap(lua_State *L, const char *name, lua_CFunction wrapper, bool pads) {
  lua_getfield(L, -1, name);
  lua_pushboolean(L, pads);
  lua_pushcclosure(L, wrapper, 2);
  lua_setfield(L, -2, name);
}

void wrap_formats(lua_State *L) {
  wrap(L, "format", format, false);
  wrap(L, "pack", packing, true);
  wrap(L, "unpack", packing, false);
  wrap(L, "packsize", packing, false);
}
