#include "builder.h"

// The table library, each loop of which pauses when its slice is over. State between two pauses is on the
// stack or in the context, so that nothing is lost when the coroutine is left.

enum { kResultsMax = 65536 };

#define length_of(L) luaL_len(L, 1)

// MARK: insert, remove, move

static int shift_up(lua_State *L, int status, lua_KContext context) {
  (void)status;
  lua_Integer position = lua_tointeger(L, 2), index = context;
  for (; index > position; index--) {
    if (must_pause(L)) return lua_yieldk(L, 0, index, shift_up);
    lua_geti(L, 1, index - 1);
    lua_seti(L, 1, index);
  }
  lua_settop(L, 3);
  lua_seti(L, 1, position);
  return 0;
}

static int insert(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer end = (lua_Integer)((lua_Unsigned)length_of(L) + 1);
  switch (lua_gettop(L)) {
  case 2:
    lua_seti(L, 1, end);
    return 0;
  case 3: {
    lua_Integer position = rpclua_integer(L, 2);
    luaL_argcheck(L, (lua_Unsigned)position - 1u < (lua_Unsigned)end, 2, "position out of bounds");
    lua_pushinteger(L, position);
    lua_replace(L, 2);
    return shift_up(L, LUA_OK, end);
  }
  default: return luaL_error(L, "wrong number of arguments to 'insert'");
  }
}

static int shift_down(lua_State *L, int status, lua_KContext context) {
  (void)status;
  lua_Integer end = lua_tointeger(L, 2), index = context;
  for (; index < end; index++) {
    if (must_pause(L)) return lua_yieldk(L, 0, index, shift_down);
    lua_geti(L, 1, index + 1);
    lua_seti(L, 1, index);
  }
  lua_pushnil(L);
  lua_seti(L, 1, index);
  return 1;
}

static int remove_at(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer end = length_of(L);
  lua_Integer position = rpclua_optional_integer(L, 2, end);
  if (position != end)
    luaL_argcheck(L, (lua_Unsigned)position - 1u <= (lua_Unsigned)end, 2, "position out of bounds");
  lua_settop(L, 1);
  lua_pushinteger(L, end);
  lua_geti(L, 1, position);
  return shift_down(L, LUA_OK, position);
}

/// Stack: source, first, count, to, target. The context counts what is done, negative for downwards.
static int move_on(lua_State *L, int status, lua_KContext context) {
  (void)status;
  lua_Integer first = lua_tointeger(L, 2), count = lua_tointeger(L, 3), to = lua_tointeger(L, 4);
  bool is_upwards = context > 0;
  lua_Integer done = (is_upwards ? context : -context) - 1;
  for (; done < count; done++) {
    lua_Integer offset = is_upwards ? done : count - 1 - done;
    if (must_pause(L)) return lua_yieldk(L, 0, is_upwards ? done + 1 : -(done + 1), move_on);
    lua_geti(L, 1, first + offset);
    lua_seti(L, 5, to + offset);
  }
  lua_pushvalue(L, 5);
  return 1;
}

static int move(lua_State *L) {
  lua_Integer first = rpclua_integer(L, 2), last = rpclua_integer(L, 3), to = rpclua_integer(L, 4);
  int target = lua_isnoneornil(L, 5) ? 1 : 5;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, target, LUA_TTABLE);
  lua_Integer count = 0;
  if (last >= first) {
    luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
    count = last - first + 1;
    luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
  }
  bool is_upwards = to > last || to <= first || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
  lua_settop(L, 5);
  lua_pushvalue(L, target);
  lua_replace(L, 5);
  lua_pushinteger(L, first);
  lua_replace(L, 2);
  lua_pushinteger(L, count);
  lua_replace(L, 3);
  lua_pushinteger(L, to);
  lua_replace(L, 4);
  return move_on(L, LUA_OK, is_upwards ? 1 : -1);
}

// MARK: concat

static int concat_end(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return builder_finish(L, lua_touserdata(L, 4)) ? 1 : lua_yieldk(L, 0, 0, concat_end);
}

/// Stack: table, separator, last, builder. The context is the next index.
static int concat_on(lua_State *L, int status, lua_KContext context) {
  (void)status;
  lua_Integer index = context, last = lua_tointeger(L, 3);
  struct builder *builder = lua_touserdata(L, 4);
  size_t separator_length;
  const char *separator = lua_tolstring(L, 2, &separator_length);
  for (;; index++) {
    if (must_pause(L)) return lua_yieldk(L, 0, index, concat_on);
    lua_geti(L, 1, index);
    if (!lua_isstring(L, -1))
      luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1), (LUAI_UACINT)index);
    size_t count;
    const char *text = lua_tolstring(L, -1, &count);
    builder_append(L, builder, text, count);
    lua_pop(L, 1);
    if (index == last) break;
    builder_append(L, builder, separator, separator_length);
  }
  return concat_end(L, LUA_OK, 0);
}

static int concat(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_optstring(L, 2, "");
  lua_Integer first = rpclua_optional_integer(L, 3, 1);
  lua_Integer last = lua_isnoneornil(L, 4) ? length_of(L) : rpclua_integer(L, 4);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "");
    lua_replace(L, 2);
  }
  lua_pushinteger(L, last);
  if (first > last) {
    lua_pushliteral(L, "");
    return 1;
  }
  builder_push(L, 0);
  return concat_on(L, LUA_OK, first);
}

// MARK: pack, unpack

static int pack(lua_State *L) {
  int count = lua_gettop(L);
  lua_createtable(L, count, 1);
  lua_insert(L, 1);
  for (int index = count; index >= 1; index--) lua_seti(L, 1, index);
  lua_pushinteger(L, count);
  lua_setfield(L, 1, "n");
  return 1;
}

static int unpack(lua_State *L) {
  lua_Integer first = rpclua_optional_integer(L, 2, 1);
  lua_Integer last = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : rpclua_integer(L, 3);
  if (first > last) return 0;
  lua_Unsigned more = (lua_Unsigned)last - (lua_Unsigned)first;
  if (more >= kResultsMax || !lua_checkstack(L, (int)more + 1))
    return luaL_error(L, "too many results to unpack (the limit is %d)", kResultsMax);
  for (; first < last; first++) lua_geti(L, 1, first);
  lua_geti(L, 1, last);
  return (int)more + 1;
}

int rpclua_sort(lua_State *L);

void rpclua_open_tables(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"concat", concat}, {"insert", insert}, {"move", move},     {"pack", pack},
      {"remove", remove_at}, {"sort", rpclua_sort}, {"unpack", unpack}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_setglobal(L, "table");
}
