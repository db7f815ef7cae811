#include "internal.h"

// Calls whose values are all scalars, which most are: checked and encoded in one pass that needs no memory, raises
// nothing and cannot take long.

enum { kScalarsMax = 15, kNumberBytes = 9 };

static uint64_t big(const uint8_t *bytes, int size) {
  uint64_t value = 0;
  for (int index = 0; index < size; index++) value = value << 8 | bytes[index];
  return value;
}

/// Passes over an int; null where there is none.
static const uint8_t *pass_int(const uint8_t *at, const uint8_t *end) {
  uint8_t byte = *at++;
  if (byte <= 0x7f || byte >= 0xe0) return at;
  if (byte < 0xcc || byte > 0xd3) return NULL;
  int size = 1 << ((byte - 0xcc) & 3);
  if (end - at < size || (byte == 0xcf && *at > 0x7f)) return NULL;
  return at + size;
}

/// Passes over text or bytes, whose length is that of its head's `size`.
static const uint8_t *pass_bytes(const uint8_t *at, const uint8_t *end, int size, bool is_text) {
  if (end - at < size) return NULL;
  uint64_t count = big(at, size);
  at += size;
  if ((uint64_t)(end - at) < count) return NULL;
  if (is_text && utf8_valid_prefix((const char *)at, count, 0, count) < count) return NULL;
  return at + count;
}

static const uint8_t *pass_text(const uint8_t *at, const uint8_t *end) {
  uint8_t byte = *at;
  if ((byte & 0xe0) == 0xa0) {
    size_t count = byte & 31;
    at++;
    if ((size_t)(end - at) < count || utf8_valid_prefix((const char *)at, count, 0, count) < count) return NULL;
    return at + count;
  }
  return byte >= 0xd9 && byte <= 0xdb ? pass_bytes(at + 1, end, 1 << (byte - 0xd9), true) : NULL;
}

enum scalars rpclua_check_scalars(const char *types, int count, const uint8_t *bytes, size_t size) {
  const uint8_t *at = bytes, *end = bytes + size;
  if (count > kScalarsMax || size == 0 || *at++ != (0x90 | count)) return scalars_wrong;
  enum scalars found = scalars_numbers;
  for (; count > 0; count--, types++) {
    if (at == end) return scalars_wrong;
    uint8_t byte = *at;
    bool is_optional = *types == 'O';
    while (*types == 'O') types++;
    if (byte == 0xc0 && (is_optional || *types == 'n')) {
      at++;
      continue;
    }
    switch (*types) {
    case 'i': at = pass_int(at, end); break;
    case 'f':
      if (byte == 0xca || byte == 0xcb) at = end - at > (byte == 0xca ? 4 : 8) ? at + (byte == 0xca ? 5 : 9) : NULL;
      else at = pass_int(at, end);
      break;
    case 'b': at = (byte | 1) == 0xc3 ? at + 1 : NULL; break;
    case 's':
      at = pass_text(at, end);
      found = scalars_strings;
      break;
    case 'y':
      at = byte >= 0xc4 && byte <= 0xc6 ? pass_bytes(at + 1, end, 1 << (byte - 0xc4), false) : NULL;
      found = scalars_strings;
      break;
    default: return scalars_wrong;
    }
    if (!at) return scalars_wrong;
  }
  return at == end ? found : scalars_wrong;
}

// MARK: Encoding

static uint8_t *store(uint8_t *at, uint8_t type, uint64_t value, int size) {
  *at++ = type;
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) *at++ = (uint8_t)(value >> shift);
  return at;
}

static uint8_t *store_integer(uint8_t *at, int64_t value) {
  if (value >= -32 && value <= 127) {
    *at = (uint8_t)value;
    return at + 1;
  }
  if (value >= 0) {
    if (value <= UINT8_MAX) return store(at, 0xcc, (uint64_t)value, 1);
    if (value <= UINT16_MAX) return store(at, 0xcd, (uint64_t)value, 2);
    if (value <= UINT32_MAX) return store(at, 0xce, (uint64_t)value, 4);
    return store(at, 0xcf, (uint64_t)value, 8);
  }
  if (value >= INT8_MIN) return store(at, 0xd0, (uint64_t)value, 1);
  if (value >= INT16_MIN) return store(at, 0xd1, (uint64_t)value, 2);
  if (value >= INT32_MIN) return store(at, 0xd2, (uint64_t)value, 4);
  return store(at, 0xd3, (uint64_t)value, 8);
}

static uint8_t *store_number(uint8_t *at, lua_Number value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return store(at, 0xcb, bits, 8);
}

/// Writes the string at `index`; null where it does not fit its type or what is left. Only short ones: a long one is
/// copied in slices.
static uint8_t *store_string(lua_State *L, int index, char type, uint8_t *at, const uint8_t *end) {
  size_t count;
  const char *text = lua_tolstring(L, index, &count);
  if (count > UINT16_MAX || (size_t)(end - at) < count) return NULL;
  bool is_text = type != 'y' && utf8_valid_prefix(text, count, 0, count) == count;
  if (!is_text && type == 's') return NULL;
  if (is_text && count < 32) *at++ = 0xa0 | (uint8_t)count;
  else if (count <= UINT8_MAX) at = store(at, is_text ? 0xd9 : 0xc4, count, 1);
  else at = store(at, is_text ? 0xda : 0xc5, count, 2);
  memcpy(at, text, count);
  return at + count;
}

bool rpclua_encode_scalars(lua_State *L, rpclua_call *call) {
  int count = call->return_count, returned = lua_gettop(L);
  if (count > kScalarsMax || returned > count) return false;
  size_t capacity = call->output.capacity;
  if (capacity > call->machine->limits.output_bytes) capacity = call->machine->limits.output_bytes;
  // What each may take beside the bytes of a string, so that only those are looked at.
  size_t reserved = 1 + (size_t)count * kNumberBytes;
  if (capacity < reserved) return false;
  uint8_t *at = call->output.data, *end = at + capacity;
  const char *type = call->returns;
  *at++ = 0x90 | (uint8_t)count;
  for (int index = 1; index <= count; index++, type++) {
    bool is_optional = *type == 'O';
    while (*type == 'O') type++;
    bool is_any = *type == 'a';
    const uint8_t *limit = end - (size_t)(count - index + 1) * kNumberBytes;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      if (!lua_isinteger(L, index)) {
        if (*type != 'f' && !is_any) return false;
        at = store_number(at, lua_tonumber(L, index));
      } else if (*type == 'i' || is_any) {
        at = store_integer(at, lua_tointeger(L, index));
      } else {
        if (*type != 'f') return false;
        at = store_number(at, (lua_Number)lua_tointeger(L, index));
      }
      break;
    case LUA_TSTRING:
      if (*type != 's' && *type != 'y' && !is_any) return false;
      at = store_string(L, index, *type, at, limit);
      if (!at) return false;
      break;
    case LUA_TBOOLEAN:
      if (*type != 'b' && !is_any) return false;
      *at++ = lua_toboolean(L, index) ? 0xc3 : 0xc2;
      break;
    case LUA_TTABLE: return false;
    default:
      // What is missing counts as nil.
      if (lua_type(L, index) != LUA_TNONE && !rpclua_is_null(L, index)) return false;
      if (!is_optional && *type != 'n' && !is_any) return false;
      *at++ = 0xc0;
    }
  }
  call->output.count = (size_t)(at - call->output.data);
  return true;
}
