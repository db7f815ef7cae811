#include "internal.h"

#include <time.h>

// The sandbox's globals: an allow-list of the base library, math, utf8 and the harmless parts of os. What
// compiles, reads files, reaches other coroutines or finalizes is left out.

enum {
  kNumeralBytes = 256,
  kTextBytes = 1024 * 1024,
  kFormatBytes = 256,
};

/// Upvalues: the one that the function itself has, the function, its name, how long its strings may be.
static int guarded(lua_State *L) {
  lua_Integer limit = lua_tointeger(L, lua_upvalueindex(4));
  int top = lua_gettop(L);
  for (int index = 1; index <= top; index++) {
    if (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > (lua_Unsigned)limit)
      return luaL_error(
          L, "%s: a string of %I bytes, the limit is %I", lua_tostring(L, lua_upvalueindex(3)),
          (LUAI_UACINT)lua_rawlen(L, index), (LUAI_UACINT)limit);
  }
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

void rpclua_guard(lua_State *L, const char *name, lua_Integer limit) {
  lua_CFunction function = lua_tocfunction(L, -1);
  // math.random has its state there, and finds it again since it is ours in the same place.
  if (!lua_getupvalue(L, -1, 1)) lua_pushnil(L);
  lua_remove(L, -2);
  lua_pushcfunction(L, function);
  lua_pushstring(L, name);
  lua_pushinteger(L, limit);
  lua_pushcclosure(L, guarded, 4);
}

/// As above, for functions that take a lock of the C library.
static int locked(lua_State *L) {
  int top = lua_gettop(L);
  for (int index = 1; index <= top; index++)
    if (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > kFormatBytes)
      return luaL_error(L, "%s: a string of more than %d bytes", lua_tostring(L, lua_upvalueindex(2)), kFormatBytes);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  machine_of(L)->critical = 1;
  int status = lua_pcall(L, top, LUA_MULTRET, 0);
  machine_of(L)->critical = 0;
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/// A metatable without a finalizer: those would run when nobody is there to bound them.
static int set_metatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  if (type == LUA_TTABLE) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "a procedure's metatable cannot have __gc");
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

static int handled(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(L) - 1;
}

static int protected_end(lua_State *L, int status, lua_KContext context) {
  (void)context;
  // Slot 1 has the handler, above it are the results or the error.
  if (status == LUA_OK || status == LUA_YIELD) {
    lua_pushboolean(L, 1);
    lua_insert(L, 2);
    return lua_gettop(L) - 1;
  }
  lua_pushvalue(L, 1);
  lua_insert(L, 2);
  lua_pushboolean(L, 0);
  lua_insert(L, 2);
  lua_callk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, handled);
  return handled(L, LUA_OK, 0);
}

/// `xpcall`, which calls the handler after the stack was unwound: where the interpreter would call it no hook
/// runs, so that nothing could end it. Nobody can tell, since there is nothing that looks at the stack.
static int protected_call(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 1);
  lua_copy(L, 2, 1);
  lua_replace(L, 2);
  return protected_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, protected_end), 0);
}

/// Takes `names` out of the library on top and guards the rest that `limit` concerns.
static void keep(lua_State *L, const char *const *names, const char *library, lua_Integer limit) {
  lua_newtable(L);
  for (; *names; names++) {
    lua_getfield(L, -2, *names);
    if (limit > 0 && lua_iscfunction(L, -1)) {
      lua_pushfstring(L, "%s.%s", library, *names);
      lua_insert(L, -2);
      rpclua_guard(L, lua_tostring(L, -2), limit);
      lua_remove(L, -2);
    }
    lua_setfield(L, -2, *names);
  }
  lua_remove(L, -2);
}

/// Upvalue: the library's own. A string that is too long to be read at once is no numeral.
static int to_number(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING && lua_rawlen(L, 1) > kNumeralBytes) {
    luaL_pushfail(L);
    return 1;
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void open_base_functions(lua_State *L) {
  static const char *const removed[] = {"collectgarbage", "dofile", "load", "loadfile", "warn", "print", NULL};
  luaL_requiref(L, "_G", luaopen_base, 0);
  for (const char *const *name = removed; *name; name++) {
    lua_pushnil(L);
    lua_setfield(L, -2, *name);
  }
  lua_pushcfunction(L, set_metatable);
  lua_setfield(L, -2, "setmetatable");
  lua_pushcfunction(L, protected_call);
  lua_setfield(L, -2, "xpcall");
  lua_getfield(L, -1, "tonumber");
  lua_pushcclosure(L, to_number, 1);
  lua_setfield(L, -2, "tonumber");
  lua_pop(L, 1);
}

void rpclua_open_base(lua_State *L) {
  static const char *const math[] = {
      "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
      "maxinteger", "min", "mininteger", "modf", "pi", "rad", "random", "randomseed", "sin", "sqrt", "tan",
      "tointeger", "ult", NULL};
  static const char *const utf8[] = {"char", "charpattern", "codepoint", "codes", "len", "offset", NULL};
  static const char *const os[] = {"clock", "date", "difftime", "time", NULL};
  open_base_functions(L);
  luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
  lua_getfield(L, -1, "type");
  lua_insert(L, -2);
  keep(L, math, "math", kNumeralBytes);
  lua_insert(L, -2);
  lua_setfield(L, -2, "type");
  lua_setglobal(L, "math");
  luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
  keep(L, utf8, "utf8", kTextBytes);
  lua_setglobal(L, "utf8");
  luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
  lua_newtable(L);
  for (const char *const *name = os; *name; name++) {
    lua_getfield(L, -2, *name);
    lua_pushstring(L, *name);
    lua_pushcclosure(L, locked, 2);
    lua_setfield(L, -2, *name);
  }
  lua_setglobal(L, "os");
  lua_pop(L, 1);
}
