#include "internal.h"

// The types of values, in the spelling of declarations, for the message that they are not those declared.

enum { kDepthShown = 6, kElementsLookedAt = 256, kValuesShown = 64 };

struct text {
  char *data;
  size_t count, capacity;
};

static void add(struct text *text, const char *more) {
  size_t count = strlen(more);
  if (text->count + count >= text->capacity) return;
  memcpy(text->data + text->count, more, count + 1);
  text->count += count;
}

bool rpclua_is_null(lua_State *L, int index) {
  return lua_isnil(L, index) || (lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL);
}

/// The name of a value that is not a table, else null.
static const char *simple_name(lua_State *L, int index) {
  switch (lua_type(L, index)) {
  case LUA_TBOOLEAN: return "bool";
  case LUA_TNUMBER: return lua_isinteger(L, index) ? "int" : "float";
  case LUA_TSTRING: {
    size_t count;
    const char *bytes = lua_tolstring(L, index, &count);
    size_t looked_at = count < 4096 ? count : 4096;
    return utf8_valid_prefix(bytes, count, 0, looked_at) < looked_at ? "bytes" : "str";
  }
  case LUA_TTABLE: return NULL;
  default: return rpclua_is_null(L, index) ? "None" : luaL_typename(L, index);
  }
}

static bool are(const char *left, const char *right, const char *a, const char *b) {
  return (strcmp(left, a) == 0 && strcmp(right, b) == 0) || (strcmp(left, b) == 0 && strcmp(right, a) == 0);
}

static void describe(lua_State *L, int index, struct text *text, int depth) {
  const char *name = simple_name(L, index);
  if (name) {
    add(text, name);
    return;
  }
  bool is_map = false, has_table = false, is_mixed = false, has_null = false;
  const char *common = NULL;
  int seen = 0;
  lua_pushnil(L);
  while (seen < kElementsLookedAt && lua_next(L, index)) {
    if (seen++ == 0) is_map = lua_type(L, -2) == LUA_TSTRING;
    const char *element = simple_name(L, -1);
    if (!element) has_table = true;
    else if (strcmp(element, "None") == 0) has_null = true;
    else if (!common) common = element;
    else if (are(common, element, "int", "float")) common = "float";
    else if (strcmp(common, element) != 0) is_mixed = true;
    lua_pop(L, 1);
  }
  if (seen == kElementsLookedAt) lua_pop(L, 1);
  add(text, is_map ? "Dict[str, " : "List[");
  if (seen == 0) add(text, "?");
  else if (is_mixed || (has_table && (common || depth >= kDepthShown))) add(text, "Any");
  else {
    bool is_optional = has_null && (has_table || common);
    if (is_optional) add(text, "Optional[");
    if (has_table) {
      // They may differ among themselves; the first stands for all.
      lua_pushnil(L);
      while (lua_next(L, index)) {
        bool is_table = lua_istable(L, -1);
        if (is_table) describe(L, lua_gettop(L), text, depth + 1);
        lua_pop(L, is_table ? 2 : 1);
        if (is_table) break;
      }
    } else {
      add(text, common ? common : "None");
    }
    if (is_optional) add(text, "]");
  }
  add(text, "]");
}

void rpclua_describe(lua_State *L, int count, char *data, size_t capacity) {
  struct text text = {data, 0, capacity};
  data[0] = 0;
  for (int index = 1; index <= count && index <= kValuesShown; index++) {
    if (index > 1) add(&text, ", ");
    describe(L, index, &text, 0);
  }
}
