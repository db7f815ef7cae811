/* Just enough of the native protocol for a reference server and a load generator: the preface, the frame
 * header and MessagePack integers. Docs/PROTOCOL.md is the whole of it. */
#pragma once

#include <stdint.h>
#include <string.h>

enum {
  HEADER_BYTES = 16,
  PREFACE_BYTES = 8,
  CALL_FIXED_BYTES = 8,
  FRAME_BYTES_MAX = 16 * 1024 * 1024,
};

enum frame_kind {
  FRAME_HELLO = 1,
  FRAME_BIND = 2,
  FRAME_BOUND = 3,
  FRAME_CALL = 4,
  FRAME_REPLY = 5,
  FRAME_ERROR = 6,
  FRAME_CANCEL = 7,
  FRAME_PING = 8,
  FRAME_PONG = 9,
};

static const uint8_t PREFACE[PREFACE_BYTES] = {0x89, 'R', 'P', 'C', '\r', '\n', 1, 0};

struct header {
  uint32_t length;
  uint8_t kind;
  uint8_t flags;
  uint16_t status;
  uint64_t call_id;
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "the header has no padding on this machine");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is read in place, little-endian");

static inline void put_header(uint8_t *at, uint32_t length, uint8_t kind, uint64_t call_id) {
  struct header header = {.length = length, .kind = kind, .call_id = call_id};
  memcpy(at, &header, sizeof header);
}

static inline uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t load32(const uint8_t *p) { return (uint32_t)load16(p) << 16 | load16(p + 2); }
static inline uint64_t load64(const uint8_t *p) { return (uint64_t)load32(p) << 32 | load32(p + 4); }

/* Reads a MessagePack integer; returns the bytes used, 0 when it is none or is cut short. */
static inline size_t get_int(const uint8_t *p, size_t length, int64_t *value) {
  static const uint8_t sizes[8] = {1, 2, 4, 8, 1, 2, 4, 8};
  if (length == 0) return 0;
  uint8_t type = p[0];
  if (type <= 0x7f || type >= 0xe0) {
    *value = (int8_t)type;
    return 1;
  }
  if (type < 0xcc || type > 0xd3) return 0;
  size_t size = sizes[type - 0xcc];
  if (length < 1 + size) return 0;
  switch (type) {
  case 0xcc: *value = p[1]; break;
  case 0xcd: *value = load16(p + 1); break;
  case 0xce: *value = load32(p + 1); break;
  case 0xcf: *value = (int64_t)load64(p + 1); break;
  case 0xd0: *value = (int8_t)p[1]; break;
  case 0xd1: *value = (int16_t)load16(p + 1); break;
  case 0xd2: *value = (int32_t)load32(p + 1); break;
  default: *value = (int64_t)load64(p + 1); break;
  }
  return 1 + size;
}

/* Writes a MessagePack integer in its shortest form; returns the bytes used, at most 9. */
static inline size_t put_int(uint8_t *p, int64_t value) {
  int size;
  if (value >= -32 && value <= 0x7f) {
    p[0] = (uint8_t)value;
    return 1;
  }
  if (value >= 0) {
    size = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffffLL ? 4 : 8;
    p[0] = size == 1 ? 0xcc : size == 2 ? 0xcd : size == 4 ? 0xce : 0xcf;
  } else {
    size = value >= INT8_MIN ? 1 : value >= INT16_MIN ? 2 : value >= INT32_MIN ? 4 : 8;
    p[0] = size == 1 ? 0xd0 : size == 2 ? 0xd1 : size == 4 ? 0xd2 : 0xd3;
  }
  for (int i = 0; i < size; i++) p[1 + i] = (uint8_t)((uint64_t)value >> (8 * (size - 1 - i)));
  return 1 + (size_t)size;
}

/* Reads a MessagePack string in place; returns the bytes used, 0 when it is none. */
static inline size_t get_string(const uint8_t *p, size_t length, const char **text, size_t *count) {
  if (length == 0) return 0;
  size_t head;
  if ((p[0] & 0xe0) == 0xa0) {
    head = 1;
    *count = p[0] & 0x1f;
  } else if (p[0] == 0xd9 && length >= 2) {
    head = 2;
    *count = p[1];
  } else {
    return 0;
  }
  if (length - head < *count) return 0;
  *text = (const char *)p + head;
  return head + *count;
}

static inline uint8_t *put_string(uint8_t *p, const char *text) {
  size_t count = strlen(text);
  *p++ = (uint8_t)(0xa0 | count); /* names here are shorter than 32 bytes */
  memcpy(p, text, count);
  return p + count;
}

/* Writes `[bytes]` with a payload of `count` bytes; returns the bytes used. */
static inline size_t put_bytes_list(uint8_t *p, size_t count) {
  size_t head;
  p[0] = 0x91;
  if (count <= 0xff) {
    p[1] = 0xc4;
    p[2] = (uint8_t)count;
    head = 3;
  } else if (count <= 0xffff) {
    p[1] = 0xc5;
    p[2] = (uint8_t)(count >> 8);
    p[3] = (uint8_t)count;
    head = 4;
  } else {
    p[1] = 0xc6;
    for (int i = 0; i < 4; i++) p[2 + i] = (uint8_t)(count >> (24 - 8 * i));
    head = 6;
  }
  for (size_t i = 0; i < count; i++) p[head + i] = (uint8_t)('a' + i % 26);
  return head + count;
}
