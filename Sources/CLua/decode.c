#include "internal.h"

#include <stdlib.h>

// MessagePack to Lua values. The bytes were checked when the call arrived, so that only their end is checked
// again; what is converted is guided by the declared types, since Lua tells an int from a float.

enum { kValuesBetweenPolls = 256 };

void conversion_begin(struct conversion *conversion) {
  conversion->depth = 0;
  conversion->type = NULL;
  conversion->index = 0;
  conversion->count = 0;
  conversion->offset = 0;
  conversion->checked = 0;
  conversion->work = 0;
  conversion->has_value = false;
  conversion->started = true;
}

bool bytes_reserve(rpclua_machine *machine, struct bytes *bytes, size_t more) {
  if (bytes->capacity - bytes->count >= more && bytes->data) return true;
  size_t wanted = bytes->capacity * 2;
  if (wanted < bytes->count + more) wanted = bytes->count + more;
  if (wanted < 128) wanted = 128;
  bool is_lent = bytes->data && bytes->data == machine->lent;
  // The C library's heap has a lock, which a jump out of here would leave locked.
  machine->critical = 1;
  uint8_t *data = is_lent ? malloc(wanted) : realloc(bytes->data, wanted);
  machine->critical = 0;
  if (!data) return false;
  if (is_lent) memcpy(data, bytes->data, bytes->count);
  bytes->data = data;
  bytes->capacity = wanted;
  return true;
}

void bytes_append(lua_State *L, struct bytes *bytes, const void *data, size_t count) {
  if (unlikely(bytes->capacity - bytes->count < count) && !bytes_reserve(machine_of(L), bytes, count))
    luaL_error(L, "not enough memory");
  memcpy(bytes->data + bytes->count, data, count);
  bytes->count += count;
}

void bytes_free(struct bytes *bytes) {
  free(bytes->data);
  memset(bytes, 0, sizeof *bytes);
}

struct reader {
  const uint8_t *next, *end;
};

static uint64_t read_big(lua_State *L, struct reader *reader, int size) {
  if (reader->end - reader->next < size) luaL_error(L, "the arguments are cut off");
  uint64_t value = 0;
  for (int index = 0; index < size; index++) value = value << 8 | reader->next[index];
  reader->next += size;
  return value;
}

static const char *read_bytes(lua_State *L, struct reader *reader, size_t count) {
  if ((size_t)(reader->end - reader->next) < count) luaL_error(L, "the arguments are cut off");
  const char *bytes = (const char *)reader->next;
  reader->next += count;
  return bytes;
}

static const char *after(const char *type) {
  while (*type == 'L' || *type == 'D' || *type == 'O') type++;
  return type + 1;
}

static void push_integer(lua_State *L, int64_t value, const char *type) {
  if (*type == 'f') lua_pushnumber(L, (lua_Number)value);
  else lua_pushinteger(L, value);
}

static void push_string(lua_State *L, struct reader *reader, size_t count) {
  lua_pushlstring(L, read_bytes(L, reader, count), count);
}

static void begin_container(lua_State *L, struct conversion *c, char kind, size_t count, const char *type) {
  if (c->depth > kDepthMax) luaL_error(L, "lists and maps nest deeper than %d levels", kDepthMax);
  if (kind == 'L') lua_createtable(L, (int)(count < INT32_MAX ? count : INT32_MAX), 0);
  // Entries of a map are at least two bytes, so that a lying count reserves little; a large table grows by
  // itself, a step at a time.
  else lua_createtable(L, 0, (int)(count < 4096 ? count : 4096));
  struct frame *frame = &c->frames[c->depth++];
  frame->kind = kind;
  frame->type = *type == 'a' ? type : type + 1;
  frame->remaining = count;
  frame->index = 0;
}

/// Pushes the next value; a container is pushed empty, with a frame of its own.
static void push_value(lua_State *L, struct conversion *c, struct reader *reader, const char *type) {
  while (*type == 'O') type++;
  uint8_t byte = (uint8_t)*read_bytes(L, reader, 1);
  switch (byte) {
  case 0x00 ... 0x7f: push_integer(L, byte, type); break;
  case 0xe0 ... 0xff: push_integer(L, (int8_t)byte, type); break;
  case 0x80 ... 0x8f: begin_container(L, c, 'D', byte & 15, type); break;
  case 0x90 ... 0x9f: begin_container(L, c, 'L', byte & 15, type); break;
  case 0xa0 ... 0xbf: push_string(L, reader, byte & 31); break;
  case 0xc2: lua_pushboolean(L, 0); break;
  case 0xc3: lua_pushboolean(L, 1); break;
  case 0xc4: case 0xd9: push_string(L, reader, read_big(L, reader, 1)); break;
  case 0xc5: case 0xda: push_string(L, reader, read_big(L, reader, 2)); break;
  case 0xc6: case 0xdb: push_string(L, reader, read_big(L, reader, 4)); break;
  case 0xca: {
    uint32_t bits = (uint32_t)read_big(L, reader, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    lua_pushnumber(L, value);
    break;
  }
  case 0xcb: {
    uint64_t bits = read_big(L, reader, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    lua_pushnumber(L, value);
    break;
  }
  case 0xcc: push_integer(L, (int64_t)read_big(L, reader, 1), type); break;
  case 0xcd: push_integer(L, (int64_t)read_big(L, reader, 2), type); break;
  case 0xce: push_integer(L, (int64_t)read_big(L, reader, 4), type); break;
  case 0xcf: push_integer(L, (int64_t)read_big(L, reader, 8), type); break;
  case 0xd0: push_integer(L, (int8_t)read_big(L, reader, 1), type); break;
  case 0xd1: push_integer(L, (int16_t)read_big(L, reader, 2), type); break;
  case 0xd2: push_integer(L, (int32_t)read_big(L, reader, 4), type); break;
  case 0xd3: push_integer(L, (int64_t)read_big(L, reader, 8), type); break;
  case 0xdc: begin_container(L, c, 'L', read_big(L, reader, 2), type); break;
  case 0xdd: begin_container(L, c, 'L', read_big(L, reader, 4), type); break;
  case 0xde: begin_container(L, c, 'D', read_big(L, reader, 2), type); break;
  case 0xdf: begin_container(L, c, 'D', read_big(L, reader, 4), type); break;
  default:
    // None: nil would leave a hole in a list and no key in a map.
    if (c->depth > 0) lua_pushlightuserdata(L, NULL);
    else lua_pushnil(L);
  }
}

void rpclua_push_scalar(lua_State *L, rpclua_call *call, size_t *offset, const char *type) {
  struct reader reader = {call->input.data + *offset, call->input.data + call->input.count};
  push_value(L, &call->conversion, &reader, type);
  *offset = (size_t)(reader.next - call->input.data);
}

/// Puts finished values into the containers they belong to. Returns whether the outermost is finished.
static bool settle(lua_State *L, struct conversion *c) {
  while (c->depth > 0) {
    struct frame *frame = &c->frames[c->depth - 1];
    if (frame->remaining > 0) return false;
    c->depth--;
    if (c->depth == 0) return true;
    frame--;
    if (frame->kind == 'L') lua_rawseti(L, -2, (lua_Integer)++frame->index);
    else lua_rawset(L, -3);
  }
  return true;
}

bool rpclua_decode(lua_State *L, rpclua_call *call, const char *types, int count) {
  struct conversion *c = &call->conversion;
  struct reader reader = {call->input.data + c->offset, call->input.data + call->input.count};
  if (c->type == NULL) {
    uint8_t byte = (uint8_t)*read_bytes(L, &reader, 1);
    size_t sent = (byte & 0xf0) == 0x90 ? byte & 15 : byte == 0xdc ? read_big(L, &reader, 2) : SIZE_MAX;
    if (count >= 0 && sent != (size_t)count) luaL_error(L, "%d values were expected", count);
    if (sent > 255) luaL_error(L, "too many values");
    c->type = types ? types : "a";
    c->count = (int)sent;
    luaL_checkstack(L, c->count + 2 * kDepthMax + 16, NULL);
  }
  while (c->index < c->count || c->depth > 0) {
    if (unlikely(++c->work >= kValuesBetweenPolls)) {
      c->work = 0;
      c->offset = (size_t)(reader.next - call->input.data);
      if (must_pause(L)) return false;
    }
    if (c->depth == 0) {
      push_value(L, c, &reader, c->type);
      if (settle(L, c)) {
        if (types) c->type = after(c->type);
        c->index++;
      }
      continue;
    }
    int depth = c->depth;
    struct frame *frame = &c->frames[depth - 1];
    frame->remaining--;
    if (frame->kind == 'D') push_value(L, c, &reader, "s");
    push_value(L, c, &reader, frame->type);
    if (c->depth == depth) {
      if (frame->kind == 'L') lua_rawseti(L, -2, (lua_Integer)++frame->index);
      else lua_rawset(L, -3);
    }
    if (settle(L, c)) {
      if (types) c->type = after(c->type);
      c->index++;
    }
  }
  c->offset = (size_t)(reader.next - call->input.data);
  return true;
}
