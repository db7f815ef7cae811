#include "internal.h"

// What a library function refuses because it would take too long or too much, with the size and the limit.

enum { kNumeralBytes = 256 };

int rpclua_too_long(lua_State *L, size_t bytes, bool is_more) {
  if (bytes > LUA_MAXINTEGER) {
    bytes = LUA_MAXINTEGER;
    is_more = true;
  }
  // Raised by an operator as well: there the innermost function is the one at fault.
  lua_Debug record;
  int level = lua_getstack(L, 0, &record) && lua_getinfo(L, "l", &record) && record.currentline > 0 ? 0 : 1;
  luaL_where(L, level);
  lua_pushfstring(
      L, "a string of %s%I bytes is too long: the limit is %I bytes", is_more ? "more than " : "",
      (LUAI_UACINT)bytes, (LUAI_UACINT)machine_of(L)->limits.value_bytes);
  lua_concat(L, 2);
  return lua_error(L);
}

void rpclua_check_numeral(lua_State *L, int argument) {
  if (lua_type(L, argument) != LUA_TSTRING || lua_rawlen(L, argument) <= kNumeralBytes) return;
  lua_pushfstring(
      L, "a numeral of %I bytes is too long: the limit is %d bytes", (LUAI_UACINT)lua_rawlen(L, argument),
      kNumeralBytes);
  luaL_argerror(L, argument, lua_tostring(L, -1));
}

lua_Integer rpclua_integer(lua_State *L, int argument) {
  rpclua_check_numeral(L, argument);
  return luaL_checkinteger(L, argument);
}

lua_Integer rpclua_optional_integer(lua_State *L, int argument, lua_Integer otherwise) {
  rpclua_check_numeral(L, argument);
  return luaL_optinteger(L, argument, otherwise);
}

/// Upvalues: the function, the mask.
static int with_numbers(lua_State *L) {
  unsigned mask = (unsigned)lua_tointeger(L, lua_upvalueindex(2));
  for (int argument = 1; mask >> (argument - 1); argument++)
    if (mask >> (argument - 1) & 1) rpclua_check_numeral(L, argument);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void rpclua_guard_numbers(lua_State *L, unsigned mask) {
  lua_pushinteger(L, mask);
  lua_pushcclosure(L, with_numbers, 2);
}
