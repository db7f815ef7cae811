#include "internal.h"

#include <limits.h>

// Lua values to MessagePack, guided by the declared types; what does not fit ends the call. It pauses between
// values, so that a million of them delay nobody.

enum { kPollEvery = 256, kValidatedAtOnce = 64 * 1024 };

static void put(lua_State *L, struct bytes *out, uint8_t byte) { bytes_append(L, out, &byte, 1); }

static void put_big(lua_State *L, struct bytes *out, uint8_t type, uint64_t value, int size) {
  uint8_t bytes[9] = {type};
  for (int index = size; index > 0; index--) {
    bytes[index] = (uint8_t)value;
    value >>= 8;
  }
  bytes_append(L, out, bytes, (size_t)size + 1);
}

static void put_integer(lua_State *L, struct bytes *out, int64_t value) {
  if (value >= -32 && value <= 127) put(L, out, (uint8_t)value);
  else if (value >= 0) {
    if (value <= UINT8_MAX) put_big(L, out, 0xcc, (uint64_t)value, 1);
    else if (value <= UINT16_MAX) put_big(L, out, 0xcd, (uint64_t)value, 2);
    else if (value <= UINT32_MAX) put_big(L, out, 0xce, (uint64_t)value, 4);
    else put_big(L, out, 0xcf, (uint64_t)value, 8);
  } else if (value >= INT8_MIN) put_big(L, out, 0xd0, (uint64_t)value, 1);
  else if (value >= INT16_MIN) put_big(L, out, 0xd1, (uint64_t)value, 2);
  else if (value >= INT32_MIN) put_big(L, out, 0xd2, (uint64_t)value, 4);
  else put_big(L, out, 0xd3, (uint64_t)value, 8);
}

static void put_number(lua_State *L, struct bytes *out, lua_Number value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_big(L, out, 0xcb, bits, 8);
}

static void put_list_header(lua_State *L, struct bytes *out, size_t count) {
  if (count < 16) put(L, out, 0x90 | (uint8_t)count);
  else if (count <= UINT16_MAX) put_big(L, out, 0xdc, count, 2);
  else put_big(L, out, 0xdd, count, 4);
}

static void put_text_header(lua_State *L, struct bytes *out, size_t count) {
  if (count < 32) put(L, out, 0xa0 | (uint8_t)count);
  else if (count <= UINT8_MAX) put_big(L, out, 0xd9, count, 1);
  else if (count <= UINT16_MAX) put_big(L, out, 0xda, count, 2);
  else put_big(L, out, 0xdb, count, 4);
}

static void put_binary_header(lua_State *L, struct bytes *out, size_t count) {
  if (count <= UINT8_MAX) put_big(L, out, 0xc4, count, 1);
  else if (count <= UINT16_MAX) put_big(L, out, 0xc5, count, 2);
  else put_big(L, out, 0xc6, count, 4);
}

size_t utf8_valid_prefix(const char *text, size_t count, size_t from, size_t until) {
  const unsigned char *bytes = (const unsigned char *)text;
  size_t at = from;
  while (at < until) {
    while (at + 8 <= until) {
      uint64_t eight;
      memcpy(&eight, bytes + at, 8);
      if (eight & 0x8080808080808080u) break;
      at += 8;
    }
    if (at >= until) break;
    unsigned char lead = bytes[at];
    if (lead < 0x80) {
      at++;
      continue;
    }
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || count - at <= (size_t)more) return at;
    unsigned char low = 0x80, high = 0xbf;
    if (lead == 0xe0) low = 0xa0;
    else if (lead == 0xed) high = 0x9f;
    else if (lead == 0xf0) low = 0x90;
    else if (lead == 0xf4) high = 0x8f;
    if (bytes[at + 1] < low || bytes[at + 1] > high) return at;
    for (int index = 2; index <= more; index++)
      if ((bytes[at + index] & 0xc0) != 0x80) return at;
    at += (size_t)more + 1;
  }
  return at;
}

// MARK: Errors

static const char *after(const char *type) {
  while (*type == 'L' || *type == 'D' || *type == 'O') type++;
  return type + 1;
}

/// A value that no declaration would take. In a nested call's arguments that is an error like any other.
static int unfit(lua_State *L, const char *types, const char *what) {
  if (!types) return luaL_error(L, "an argument is %s", what);
  return rpclua_fail(L, rpclua_unfit, "%s", what);
}

static int mismatch(lua_State *L, int count) {
  // What was being converted lies above the results.
  lua_settop(L, count);
  return rpclua_fail(L, rpclua_mismatched, NULL);
}

static void check_size(lua_State *L, rpclua_call *call, const char *types, size_t more) {
  if (call->output.count + more <= call->machine->limits.output_bytes) return;
  if (!types)
    luaL_error(
        L, "the arguments are too large: %I bytes or more, the limit is %I bytes",
        (LUAI_UACINT)(call->output.count + more), (LUAI_UACINT)call->machine->limits.output_bytes);
  rpclua_fail(L, rpclua_too_large, "%d", (int)(call->output.count + more > INT_MAX ? INT_MAX : call->output.count + more));
}

// MARK: Values

/// Appends the string on top. False: paused while it was being checked.
static bool put_string(lua_State *L, rpclua_call *call, const char *types, char type) {
  struct conversion *c = &call->conversion;
  size_t count;
  const char *text = lua_tolstring(L, -1, &count);
  check_size(L, call, types, count);
  bool is_text = type != 'y';
  while (is_text && c->checked < count) {
    size_t until = count - c->checked > kValidatedAtOnce ? c->checked + kValidatedAtOnce : count;
    size_t valid = utf8_valid_prefix(text, count, c->checked, until);
    if (valid < until) is_text = false;
    c->checked = valid;
    if (is_text && c->checked < count && must_pause(L)) return false;
  }
  if (!is_text && type == 's') {
    lua_pushfstring(L, "a str that is not UTF-8 (at byte %d); declare bytes for other data", (int)c->checked + 1);
    unfit(L, types, lua_tostring(L, -1));
  }
  c->checked = 0;
  if (is_text) put_text_header(L, &call->output, count);
  else put_binary_header(L, &call->output, count);
  bytes_append(L, &call->output, text, count);
  return true;
}

static void begin_frame(lua_State *L, rpclua_call *call, const char *types, char kind, const char *type) {
  struct conversion *c = &call->conversion;
  if (c->depth >= kDepthMax) {
    lua_pushfstring(L, "lists and maps nested deeper than %d levels", kDepthMax);
    unfit(L, types, lua_tostring(L, -1));
  }
  luaL_checkstack(L, 8, NULL);
  struct frame *frame = &c->frames[c->depth++];
  frame->kind = kind;
  frame->type = *type == 'a' ? type : type + 1;
  frame->index = 0;
  frame->table = lua_gettop(L);
  if (kind == 'L') {
    frame->remaining = lua_rawlen(L, -1);
    check_size(L, call, types, frame->remaining);
    put_list_header(L, &call->output, frame->remaining);
  } else {
    // The count is known at the end: space for its longest form.
    frame->header = call->output.count;
    put_big(L, &call->output, 0xdf, 0, 4);
  }
  lua_pushnil(L);
  c->work = kPollEvery;
}

/// Appends the value on top, or opens a frame for it. False: paused, the value stays.
static bool put_value(lua_State *L, rpclua_call *call, const char *types, const char *type, int result_count) {
  struct bytes *out = &call->output;
  if (*type == 'O') {
    while (*type == 'O') type++;
    if (rpclua_is_null(L, -1)) {
      put(L, out, 0xc0);
      lua_pop(L, 1);
      return true;
    }
  }
  int kind = lua_type(L, -1);
  switch (kind) {
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1)) {
      if (*type == 'f') put_number(L, out, (lua_Number)lua_tointeger(L, -1));
      else if (*type == 'i' || *type == 'a') put_integer(L, out, lua_tointeger(L, -1));
      else mismatch(L, result_count);
    } else if (*type == 'f' || *type == 'a') {
      put_number(L, out, lua_tonumber(L, -1));
    } else {
      mismatch(L, result_count);
    }
    break;
  case LUA_TSTRING:
    if (*type != 's' && *type != 'y' && *type != 'a') mismatch(L, result_count);
    if (!put_string(L, call, types, *type)) return false;
    break;
  case LUA_TBOOLEAN:
    if (*type != 'b' && *type != 'a') mismatch(L, result_count);
    put(L, out, lua_toboolean(L, -1) ? 0xc3 : 0xc2);
    break;
  case LUA_TTABLE: {
    char shape = *type;
    if (shape == 'a') {
      // A table whose first key is a string is a map; an empty one is a list.
      lua_pushnil(L);
      shape = 'L';
      if (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING) shape = 'D';
        lua_pop(L, 2);
      }
    }
    if (shape != 'L' && shape != 'D') mismatch(L, result_count);
    begin_frame(L, call, types, shape, type);
    return true;
  }
  default:
    if (rpclua_is_null(L, -1)) {
      if (*type != 'n' && *type != 'a') mismatch(L, result_count);
      put(L, out, 0xc0);
      break;
    }
    lua_pushfstring(L, "a %s, which cannot be sent", luaL_typename(L, -1));
    unfit(L, types, lua_tostring(L, -1));
  }
  lua_pop(L, 1);
  return true;
}

static const char *const kListKeys =
    "a list's keys are 1 to its length, without a hole (rpc.null stands for None)";

static int wrong_key(lua_State *L, rpclua_call *call, const char *types, const char *wanted) {
  (void)call;
  if (lua_type(L, -2) == LUA_TSTRING) lua_pushfstring(L, "a table with the key '%s'; %s", lua_tostring(L, -2), wanted);
  else if (lua_isinteger(L, -2)) lua_pushfstring(L, "a table with the key %I; %s", (LUAI_UACINT)lua_tointeger(L, -2), wanted);
  else lua_pushfstring(L, "a table with a %s as key; %s", luaL_typename(L, -2), wanted);
  return unfit(L, types, lua_tostring(L, -1));
}

enum next { next_none, next_some, next_later };

/// A list whose keys are out of order: walks the rest, the key on top, to see that they are the missing ones.
/// `header` counts those found. A part of them at a time.
static enum next walk_list(lua_State *L, rpclua_call *call, const char *types, struct frame *frame) {
  size_t length = frame->index + frame->remaining;
  for (unsigned walked = 0; walked < kPollEvery; walked++) {
    if (!lua_next(L, frame->table)) {
      if (frame->header != length) {
        lua_pushfstring(L, "a list of %d with a hole in it; rpc.null stands for None", (int)length);
        unfit(L, types, lua_tostring(L, -1));
      }
      frame->kind = 'l';
      lua_pushnil(L);
      return next_later;
    }
    if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) <= (lua_Integer)frame->index ||
        lua_tointeger(L, -2) > (lua_Integer)length)
      wrong_key(L, call, types, kListKeys);
    frame->header++;
    lua_pop(L, 1);
  }
  call->conversion.work = kPollEvery;
  return next_later;
}

/// Pushes a list's next element.
static enum next next_element(lua_State *L, rpclua_call *call, const char *types, struct frame *frame) {
  if (frame->kind == 'w') return walk_list(L, call, types, frame);
  if (frame->kind == 'L') {
    // The key is on top. As long as the keys come in order the elements need no second look.
    if (lua_next(L, frame->table)) {
      if (lua_isinteger(L, -2) && lua_tointeger(L, -2) == (lua_Integer)frame->index + 1 && frame->remaining > 0) {
        frame->index++;
        frame->remaining--;
        return next_some;
      }
      if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) <= (lua_Integer)frame->index ||
          lua_tointeger(L, -2) > (lua_Integer)(frame->index + frame->remaining))
        wrong_key(L, call, types, kListKeys);
      frame->kind = 'w';
      frame->header = frame->index + 1;
      lua_pop(L, 1);
      return next_later;
    }
    if (frame->remaining > 0) {
      lua_pushfstring(L, "a list with a hole at %d; rpc.null stands for None", (int)frame->index + 1);
      unfit(L, types, lua_tostring(L, -1));
    }
    return next_none;
  }
  if (frame->remaining == 0) {
    lua_pop(L, 1);
    return next_none;
  }
  frame->remaining--;
  lua_rawgeti(L, frame->table, (lua_Integer)++frame->index);
  return next_some;
}

static bool next_entry(lua_State *L, rpclua_call *call, const char *types, struct frame *frame) {
  if (!lua_next(L, frame->table)) return false;
  if (lua_type(L, -2) != LUA_TSTRING) wrong_key(L, call, types, "a Dict's keys are str");
  size_t count;
  const char *key = lua_tolstring(L, -2, &count);
  check_size(L, call, types, count);
  if (utf8_valid_prefix(key, count, 0, count) < count) unfit(L, types, "a table with a key that is not UTF-8");
  put_text_header(L, &call->output, count);
  bytes_append(L, &call->output, key, count);
  frame->index++;
  return true;
}

/// Writes a map's count in its shortest form.
static void end_map(struct bytes *out, const struct frame *frame) {
  uint8_t *header = out->data + frame->header;
  size_t count = frame->index, saved = count < 16 ? 4 : count <= UINT16_MAX ? 2 : 0;
  if (saved) memmove(header + 5 - saved, header + 5, out->count - frame->header - 5);
  out->count -= saved;
  if (count < 16) header[0] = 0x80 | (uint8_t)count;
  else {
    header[0] = count <= UINT16_MAX ? 0xde : 0xdf;
    for (int index = (int)(4 - saved); index > 0; index--) {
      header[index] = (uint8_t)count;
      count >>= 8;
    }
  }
}

bool rpclua_encode(lua_State *L, rpclua_call *call, const char *types, int first, int count) {
  struct conversion *c = &call->conversion;
  if (c->type == NULL) {
    c->type = types ? types : "a";
    put_list_header(L, &call->output, (size_t)count);
  }
  for (;;) {
    if (unlikely(++c->work >= kPollEvery)) {
      c->work = 0;
      if (must_pause(L)) return false;
    }
    if (c->has_value) {
      int depth = c->depth;
      const char *type = depth > 0 ? c->frames[depth - 1].type : c->type;
      if (!put_value(L, call, types, type, count)) return false;
      c->has_value = false;
      check_size(L, call, types, 0);
      continue;
    }
    if (c->depth == 0) {
      if (c->index > 0 && types) c->type = after(c->type);
      if (c->index >= count) return true;
      lua_pushvalue(L, first + c->index++);
      c->has_value = true;
      continue;
    }
    struct frame *frame = &c->frames[c->depth - 1];
    enum next next = frame->kind == 'D' ? (next_entry(L, call, types, frame) ? next_some : next_none)
                                        : next_element(L, call, types, frame);
    c->has_value = next == next_some;
    if (next == next_none) {
      if (frame->kind == 'D') end_map(&call->output, frame);
      c->depth--;
      lua_settop(L, frame->table - 1);
      // What begins or ends a table may take as long as the table is large.
      c->work = kPollEvery;
    }
  }
}
