#pragma once
#include "internal.h"

// A string in the making: a userdata, so that a pause loses nothing, whose bytes are given back when the string
// is finished instead of when the collector finds them. luaL_Buffer is not used: it keeps a value on the stack
// between its calls, does not survive a pause, and reports a size beyond the limit as a lack of memory.

enum {
  /// Bytes that are copied or computed between two looks at the clock.
  kBytesPerStep = 1024 * 1024,
  /// Strings up to this length are made on the C stack.
  kSmallString = 512,
};

struct builder {
  char *bytes;
  size_t count, capacity;
  /// The memory that the string will be copied into, and how much of it the system has provided.
  char *target;
  size_t target_size, touched;
};

void rpclua_open_builders(lua_State *L);
/// Pushes a builder with room for `capacity` bytes; raises beyond the limit of a string.
struct builder *builder_push(lua_State *L, size_t capacity);
/// Makes room for `more` bytes; raises beyond the limit of a string.
void builder_reserve(lua_State *L, struct builder *builder, size_t more);
void builder_append(lua_State *L, struct builder *builder, const char *bytes, size_t count);
/// Pushes the string and gives the builder's bytes back. False: paused, call again.
bool builder_finish(lua_State *L, struct builder *builder);
/// Gives the builder's bytes back.
void builder_release(lua_State *L, struct builder *builder);
