#define _GNU_SOURCE
#include "internal.h"

#include <stdlib.h>
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

static const char time_of_caller;

/// Copies the fields of a time from one table to another.
static void copy_time(lua_State *L, int from, int to) {
  static const char *const fields[] = {"year", "month", "day", "hour", "min", "sec", "isdst", "wday", "yday", NULL};
  for (const char *const *field = fields; *field; field++) {
    lua_getfield(L, from, *field);
    lua_setfield(L, to, *field);
  }
}

/// As above, for functions that take a lock of the C library. Upvalue: the function.
static int locked(lua_State *L) {
  int top = lua_gettop(L);
  for (int index = 1; index <= top; index++)
    if (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > kFormatBytes) {
      lua_pushfstring(
          L, "a string of %I bytes is too long: the limit is %d bytes", (LUAI_UACINT)lua_rawlen(L, index),
          kFormatBytes);
      luaL_argerror(L, index, lua_tostring(L, -1));
    }
  // A time's metamethods must not run under the lock.
  bool has_metatable = lua_istable(L, 1) && lua_getmetatable(L, 1);
  if (has_metatable) {
    lua_settop(L, 1);
    lua_createtable(L, 0, 10);
    lua_insert(L, 1);
    copy_time(L, 2, 1);
    // The function drops what lies above its argument.
    lua_rawsetp(L, 1, &time_of_caller);
  }
  // Where it raises, pcall or the end of the call puts this back.
  machine_of(L)->critical = 1;
  int results = lua_tocfunction(L, lua_upvalueindex(1))(L);
  machine_of(L)->critical = 0;
  // It puts the fields right in what it was given.
  if (has_metatable) {
    lua_rawgetp(L, 1, &time_of_caller);
    copy_time(L, 1, lua_gettop(L));
    lua_pop(L, 1);
  }
  return results;
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

/// Whether a protected call has ended well. Where it has not, something may have been left as it should not be.
static bool ended_well(lua_State *L, int status) {
  if (status == LUA_OK || status == LUA_YIELD) return true;
  machine_of(L)->critical = 0;
  return false;
}

static int plain_end(lua_State *L, int status, lua_KContext context) {
  (void)context;
  if (ended_well(L, status)) return lua_gettop(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int plain_protected_call(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  return plain_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, plain_end), 0);
}

static int protected_end(lua_State *L, int status, lua_KContext context) {
  (void)context;
  // Slot 1 has the handler, above it are the results or the error.
  if (ended_well(L, status)) {
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

/// Upvalue: the library's own. A string that is too long to be read at once is not a numeral.
static int to_number(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING && lua_rawlen(L, 1) > kNumeralBytes) {
    luaL_pushfail(L);
    return 1;
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int to_string(lua_State *L) {
  luaL_checkany(L, 1);
  rpclua_tolstring(L, 1, NULL);
  return 1;
}

/// Upvalues: the generator's state, where math.random finds it, and the library's own, which without arguments
/// would make a seed from an address and return it.
static int random_seed(lua_State *L) {
  rpclua_check_numeral(L, 1);
  rpclua_check_numeral(L, 2);
  if (lua_isnone(L, 1)) {
    lua_Integer seed[2];
    machine_of(L)->critical = 1;
    arc4random_buf(seed, sizeof seed);
    machine_of(L)->critical = 0;
    lua_pushinteger(L, seed[0]);
    lua_pushinteger(L, seed[1]);
  }
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
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
  lua_pushcfunction(L, plain_protected_call);
  lua_setfield(L, -2, "pcall");
  lua_pushcfunction(L, protected_call);
  lua_setfield(L, -2, "xpcall");
  lua_pushcfunction(L, to_string);
  lua_setfield(L, -2, "tostring");
  lua_getfield(L, -1, "select");
  rpclua_guard_numbers(L, 1);
  lua_setfield(L, -2, "select");
  lua_getfield(L, -1, "tonumber");
  lua_pushcclosure(L, to_number, 1);
  lua_setfield(L, -2, "tonumber");
  lua_pop(L, 1);
}

void rpclua_open_base(lua_State *L) {
  static const char *const math[] = {
      "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
      "maxinteger", "min", "mininteger", "modf", "pi", "rad", "random", "sin", "sqrt", "tan",
      "tointeger", "ult", NULL};
  static const char *const utf8[] = {"char", "charpattern", "codepoint", "codes", "len", "offset", NULL};
  static const char *const os[] = {"clock", "date", "difftime", "time", NULL};
  open_base_functions(L);
  luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
  lua_getfield(L, -1, "type");
  lua_insert(L, -2);
  lua_getfield(L, -1, "randomseed");
  lua_CFunction seed = lua_tocfunction(L, -1);
  if (!lua_getupvalue(L, -1, 1)) lua_pushnil(L);
  lua_remove(L, -2);
  lua_pushcfunction(L, seed);
  lua_pushcclosure(L, random_seed, 2);
  lua_insert(L, -2);
  keep(L, math, "math", kNumeralBytes);
  lua_insert(L, -2);
  lua_setfield(L, -2, "randomseed");
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
    lua_pushcclosure(L, locked, 1);
    lua_setfield(L, -2, *name);
  }
  lua_setglobal(L, "os");
  lua_pop(L, 1);
}
