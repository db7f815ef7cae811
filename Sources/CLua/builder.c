#include "builder.h"

static const char metatable;

void builder_release(lua_State *L, struct builder *builder) {
  void *context;
  lua_Alloc allocate = lua_getallocf(L, &context);
  if (builder->bytes) allocate(context, builder->bytes, builder->capacity, 0);
  if (builder->target) allocate(context, builder->target, builder->target_size, 0);
  memset(builder, 0, sizeof *builder);
}

static int collect(lua_State *L) {
  builder_release(L, lua_touserdata(L, 1));
  return 0;
}

void rpclua_open_builders(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable);
}

/// The limit is checked before.
static void resize(lua_State *L, struct builder *builder, size_t capacity) {
  void *context;
  lua_Alloc allocate = lua_getallocf(L, &context);
  char *bytes = allocate(context, builder->bytes, builder->capacity, capacity);
  if (!bytes) {
    // The machine as a whole has no more: the allocator has ended the call, or the system has none.
    luaL_error(L, "not enough memory");
    return;
  }
  builder->bytes = bytes;
  builder->capacity = capacity;
}

struct builder *builder_push(lua_State *L, size_t capacity) {
  if (capacity > machine_of(L)->limits.value_bytes) rpclua_too_long(L, capacity, false);
  struct builder *builder = lua_newuserdatauv(L, sizeof *builder, 0);
  memset(builder, 0, sizeof *builder);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable);
  lua_setmetatable(L, -2);
  if (capacity > 0) resize(L, builder, capacity);
  return builder;
}

void builder_reserve(lua_State *L, struct builder *builder, size_t more) {
  if (builder->capacity - builder->count >= more) return;
  size_t limit = machine_of(L)->limits.value_bytes, wanted = builder->count + more;
  if (wanted < more || wanted > limit) rpclua_too_long(L, wanted < more ? SIZE_MAX : wanted, false);
  size_t capacity = wanted < 128 ? 256 : wanted * 2;
  resize(L, builder, capacity > limit ? limit : capacity);
}

void builder_append(lua_State *L, struct builder *builder, const char *bytes, size_t count) {
  builder_reserve(L, builder, count);
  if (count > 0) memcpy(builder->bytes + builder->count, bytes, count);
  builder->count += count;
}

/// Has the system provide the memory for a long string, a part at a time: all at once, where the string is
/// copied, may take longer than the copying. False: paused.
static bool provide(lua_State *L, struct builder *builder) {
  rpclua_machine *machine = machine_of(L);
  void *context;
  lua_Alloc allocate = lua_getallocf(L, &context);
  if (!builder->target) {
    builder->target_size = builder->count + kStringOverhead;
    if (arena_has_spare(&machine->arena, builder->target_size)) return true;
    builder->target = allocate(context, NULL, 0, builder->target_size);
    if (!builder->target) return true;
  }
  while (builder->touched < builder->target_size) {
    size_t end = builder->touched + kBytesPerStep;
    if (end > builder->target_size) end = builder->target_size;
    for (; builder->touched < end; builder->touched += 4096)
      *(volatile char *)(builder->target + builder->touched) = 0;
    if (must_pause(L)) return false;
  }
  // It is kept, and found again for the string.
  allocate(context, builder->target, builder->target_size, 0);
  builder->target = NULL;
  builder->touched = 0;
  return true;
}

bool builder_finish(lua_State *L, struct builder *builder) {
  if (builder->count > kBytesPerStep && !provide(L, builder)) return false;
  lua_pushlstring(L, builder->bytes ? builder->bytes : "", builder->count);
  builder_release(L, builder);
  return true;
}
