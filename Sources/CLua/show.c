#define _GNU_SOURCE
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

// The text of values. An address would help who attacks the server, so that what Lua shows of a table or a
// function, its address, goes through a cipher whose key no one sees: still one text for one object.

enum {
  kRounds = kIdentityRounds,
  kFieldsShown = 32,
  kFieldDepth = 3,
  kTablesShown = 16,
  kFieldsBytes = 4096,
  kFieldStringBytes = 256,
};

// MARK: Identities

static uint32_t rotate_right(uint32_t word, int by) { return word >> by | word << (32 - by); }
static uint32_t rotate_left(uint32_t word, int by) { return word << by | word >> (32 - by); }

/// The key schedule of Speck64/128 (Beaulieu and others, 2013).
void rpclua_make_identity_key(uint32_t keys[kIdentityRounds]) {
  uint32_t words[4];
  arc4random_buf(words, sizeof words);
  keys[0] = words[0];
  for (int round = 0; round < kRounds - 1; round++) {
    uint32_t *word = &words[1 + round % 3];
    *word = (keys[round] + rotate_right(*word, 8)) ^ (uint32_t)round;
    keys[round + 1] = rotate_left(keys[round], 3) ^ *word;
  }
}

static void identity(lua_State *L, const void *pointer, char text[20]) {
  const uint32_t *keys = machine_of(L)->identity_key;
  uint64_t address = (uint64_t)(uintptr_t)pointer;
  uint32_t left = (uint32_t)(address >> 32), right = (uint32_t)address;
  for (int round = 0; round < kRounds; round++) {
    left = (rotate_right(left, 8) + right) ^ keys[round];
    right = rotate_left(right, 3) ^ left;
  }
  snprintf(text, 20, "%08x%08x", left, right);
}

void rpclua_push_identity(lua_State *L, int index) {
  const void *pointer = lua_topointer(L, index);
  char text[20] = "(null)";
  if (pointer) identity(L, pointer, text);
  lua_pushstring(L, text);
}

const char *rpclua_tolstring(lua_State *L, int index, size_t *count) {
  index = lua_absindex(L, index);
  switch (lua_type(L, index)) {
  case LUA_TNIL: case LUA_TBOOLEAN: case LUA_TNUMBER: case LUA_TSTRING: return luaL_tolstring(L, index, count);
  default: break;
  }
  if (luaL_callmeta(L, index, "__tostring")) {
    if (!lua_isstring(L, -1)) luaL_error(L, "'__tostring' must return a string");
    return lua_tolstring(L, -1, count);
  }
  int type = luaL_getmetafield(L, index, "__name");
  const char *name = type == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, index);
  char text[20];
  identity(L, lua_topointer(L, index), text);
  lua_pushfstring(L, "%s: %s", name, text);
  if (type != LUA_TNIL) lua_remove(L, -2);
  return lua_tolstring(L, -1, count);
}

// MARK: Fields of an error

struct text {
  char data[kFieldsBytes];
  size_t count;
  int tables;
};

struct key {
  const char *name;
  size_t count;
  lua_Integer number;
};

static void add(struct text *text, const char *more, size_t count) {
  size_t room = sizeof text->data - text->count;
  if (count > room) count = room;
  memcpy(text->data + text->count, more, count);
  text->count += count;
}

static void add_text(struct text *text, const char *more) { add(text, more, strlen(more)); }

static int compare(const void *left, const void *right) {
  const struct key *a = left, *b = right;
  if (!a->name || !b->name) {
    if (a->name || b->name) return a->name ? 1 : -1;
    return a->number < b->number ? -1 : a->number > b->number;
  }
  int order = memcmp(a->name, b->name, a->count < b->count ? a->count : b->count);
  return order ? order : a->count < b->count ? -1 : a->count > b->count;
}

static void add_string(struct text *text, const char *bytes, size_t count) {
  size_t shown = count;
  if (shown > kFieldStringBytes) {
    shown = kFieldStringBytes;
    // Not in the middle of a character.
    while (shown > 0 && ((unsigned char)bytes[shown] & 0xc0) == 0x80) shown--;
  }
  add_text(text, "\"");
  for (size_t index = 0; index < shown; index++) {
    unsigned char c = (unsigned char)bytes[index];
    char escape[8];
    if (c == '"' || c == '\\') snprintf(escape, sizeof escape, "\\%c", c);
    else if (c == '\n') snprintf(escape, sizeof escape, "\\n");
    else if (c < 32 || c == 127) snprintf(escape, sizeof escape, "\\x%02x", c);
    else snprintf(escape, sizeof escape, "%c", c);
    add_text(text, escape);
  }
  add_text(text, shown < count ? "…\"" : "\"");
}

static void add_fields(lua_State *L, int index, struct text *text, int depth, bool has_message);

static void add_value(lua_State *L, struct text *text, int depth) {
  char number[64];
  switch (lua_type(L, -1)) {
  case LUA_TSTRING: {
    size_t count;
    const char *bytes = lua_tolstring(L, -1, &count);
    add_string(text, bytes, count);
    return;
  }
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1)) snprintf(number, sizeof number, LUA_INTEGER_FMT, lua_tointeger(L, -1));
    else snprintf(number, sizeof number, LUA_NUMBER_FMT, lua_tonumber(L, -1));
    add_text(text, number);
    return;
  case LUA_TBOOLEAN: add_text(text, lua_toboolean(L, -1) ? "true" : "false"); return;
  case LUA_TLIGHTUSERDATA: add_text(text, "rpc.null"); return;
  case LUA_TTABLE:
    if (depth >= kFieldDepth || text->tables++ >= kTablesShown) add_text(text, "{…}");
    else add_fields(L, lua_gettop(L), text, depth + 1, false);
    return;
  default: add_text(text, luaL_typename(L, -1));
  }
}

static void add_fields(lua_State *L, int index, struct text *text, int depth, bool has_message) {
  struct key keys[kFieldsShown];
  int count = 0;
  bool is_all = true;
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    struct key key = {NULL, 0, 0};
    if (lua_type(L, -1) == LUA_TSTRING) key.name = lua_tolstring(L, -1, &key.count);
    else if (lua_isinteger(L, -1)) key.number = lua_tointeger(L, -1);
    else is_all = false;
    if (!key.name && !lua_isinteger(L, -1)) continue;
    if (has_message && key.name && key.count == 7 && memcmp(key.name, "message", 7) == 0) continue;
    if (count == kFieldsShown) {
      is_all = false;
      lua_pop(L, 1);
      break;
    }
    // The table keeps the name alive.
    keys[count++] = key;
  }
  qsort(keys, (size_t)count, sizeof keys[0], compare);
  add_text(text, "{");
  for (int at = 0; at < count; at++) {
    if (at > 0) add_text(text, ", ");
    if (keys[at].name) {
      add(text, keys[at].name, keys[at].count < kFieldStringBytes ? keys[at].count : kFieldStringBytes);
      add_text(text, " = ");
      lua_pushlstring(L, keys[at].name, keys[at].count);
    } else {
      char number[32];
      if (keys[at].number != at + 1) {
        snprintf(number, sizeof number, "[" LUA_INTEGER_FMT "] = ", keys[at].number);
        add_text(text, number);
      }
      lua_pushinteger(L, keys[at].number);
    }
    lua_rawget(L, index);
    add_value(L, text, depth);
    lua_pop(L, 1);
  }
  if (!is_all) add_text(text, count > 0 ? ", …" : "…");
  add_text(text, "}");
}

void rpclua_push_error_fields(lua_State *L, int index) {
  struct text text = {.count = 0, .tables = 0};
  lua_pushliteral(L, "message");
  bool has_message = lua_rawget(L, index) == LUA_TSTRING;
  add_fields(L, index, &text, 0, has_message);
  if (text.count == sizeof text.data) {
    // Cut: at the start of a character, with a mark.
    text.count -= 4;
    while (text.count > 0 && ((unsigned char)text.data[text.count] & 0xc0) == 0x80) text.count--;
    add_text(&text, "…");
  }
  if (!has_message) {
    lua_pop(L, 1);
    lua_pushlstring(L, text.data, text.count);
  } else if (text.count > 2) {
    lua_pushliteral(L, " ");
    lua_pushlstring(L, text.data, text.count);
    lua_concat(L, 3);
  }
}
