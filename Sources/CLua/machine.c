#define _GNU_SOURCE
#include "builder.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A machine: the Lua state, its memory, and what is compiled in it. Whatever may raise runs under lua_pcall.

enum { kInternalBytes = 64 * 1024 };

/// Whether a block is refused that is larger than a value may be. A string, or the buffer of one: raises an error
/// like any other, which is allowed wherever a string is made, since a lack of memory may be raised there as
/// well. It says more than "not enough memory", and no collection of everything goes before it.
static bool refuses(rpclua_machine *machine, rpclua_call *running, bool is_string, size_t size) {
  if (!running) return true;
  lua_State *L = running->thread;
  if (is_string) rpclua_too_long(L, size - kStringOverhead, false);
  lua_Debug record;
  if (lua_getstack(L, 0, &record) && lua_getinfo(L, "f", &record)) {
    bool is_buffer = makes_string(lua_tocfunction(L, -1));
    lua_pop(L, 1);
    // A buffer doubles, so that one for the longest string may be nearly twice as long.
    if (is_buffer && size < 2 * machine->limits.value_bytes) return false;
    if (is_buffer) rpclua_too_long(L, machine->limits.value_bytes, true);
  }
  running->refused = size;
  return true;
}

static void *allocate(void *context, void *block, size_t old_size, size_t size) {
  rpclua_machine *machine = context;
  rpclua_call *running = machine->running;
  // Without a block it says what kind of value is made.
  bool is_string = !block && old_size == LUA_TSTRING;
  if (!block) old_size = 0;
  if (size > old_size) {
    size_t limit = machine->limits.value_bytes;
    // What the interpreter itself needs, such as its stack, is not refused for a low limit.
    bool is_too_large = unlikely(size > limit + kStringOverhead) && (is_string || size > kInternalBytes) &&
                        refuses(machine, running, is_string, size);
    if (is_too_large || rpclua_bytes(machine) + size - old_size > machine->limits.machine_bytes + 2 * limit) {
      // Lua collects everything it can before it gives up; that is slow, so once is all a call gets.
      if (running) {
        running->verdict = rpclua_out_of_memory;
        rpclua_attend(machine);
      }
      return NULL;
    }
  }
  void *result = NULL;
  if (size == 0) {
    if (block) arena_free(&machine->arena, block, old_size);
  } else {
    result = block ? arena_resize(&machine->arena, block, old_size, size)
                   : arena_allocate(&machine->arena, size);
    if (!result) return NULL;
  }
  machine->used += size - old_size;
  if (running) {
    running->held += (ptrdiff_t)size - (ptrdiff_t)old_size;
    if (size > old_size && !machine->over &&
        (running->held > (ptrdiff_t)machine->limits.call_bytes ||
         rpclua_bytes(machine) > machine->limits.machine_bytes)) {
      machine->over = true;
      machine->collected = 0;
      rpclua_attend(machine);
    }
  }
  return result;
}

static int on_panic(lua_State *L) {
  // Nothing runs outside lua_pcall and lua_resume; this would be our own mistake.
  fprintf(stderr, "Lua raised outside a call: %s\n", lua_tostring(L, -1));
  abort();
}

static int open_sandbox(lua_State *L) {
  lua_settop(L, 0);
  rpclua_open_builders(L);
  rpclua_open_base(L);
  rpclua_open_strings(L);
  rpclua_open_tables(L);
  rpclua_open_rpc(L);
  // Where messages look a function's name up: in what procedures see, not in what was taken from them.
  static const char *const libraries[] = {"string", "table", "math", "utf8", "os", "rpc", NULL};
  lua_newtable(L);
  lua_pushglobaltable(L);
  lua_setfield(L, -2, LUA_GNAME);
  for (const char *const *name = libraries; *name; name++) {
    lua_getglobal(L, *name);
    lua_setfield(L, -2, *name);
  }
  lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  return 0;
}

rpclua_machine *rpclua_open(const rpclua_limits *limits, rpclua_log log) {
  rpclua_machine *machine = calloc(1, sizeof *machine);
  if (!machine) return NULL;
  machine->limits = *limits;
  machine->log = log;
  rpclua_make_identity_key(machine->identity_key);
  machine->state = lua_newstate(allocate, machine);
  if (machine->state) {
    *(rpclua_machine **)lua_getextraspace(machine->state) = machine;
    lua_atpanic(machine->state, on_panic);
    lua_pushcfunction(machine->state, open_sandbox);
    if (lua_pcall(machine->state, 0, 0, 0) == LUA_OK) {
      machine->base = machine->used;
      return machine;
    }
  }
  rpclua_close(machine);
  return NULL;
}

void rpclua_close(rpclua_machine *machine) {
  // No lua_close: it would walk every object, and the sandbox has nothing that needs an end of its own.
  arena_unmap(&machine->arena);
  while (machine->spare) {
    rpclua_call *call = machine->spare;
    machine->spare = call->next_spare;
    call_free(call);
  }
  free(machine);
}

size_t rpclua_bytes(const rpclua_machine *machine) {
  return machine->used > machine->base ? machine->used - machine->base : 0;
}

bool rpclua_collect(rpclua_machine *machine) {
  bool is_done = lua_gc(machine->state, LUA_GCSTEP, 32) != 0;
  arena_trim(&machine->arena);
  return is_done;
}

const char *rpclua_machine_message(const rpclua_machine *machine) { return machine->message; }

static void keep_message(rpclua_machine *machine) {
  lua_State *L = machine->state;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "not enough memory";
  snprintf(machine->message, sizeof machine->message, "%s", text);
  lua_settop(L, 0);
}

struct source {
  const char *text, *name;
  size_t count;
  int reference;
};

/// Passes over a byte order mark and a first line such as `#!/usr/bin/lua`, as Lua's own reader of files does. The
/// end of that line stays, so that lines keep their numbers.
static void skip_preamble(struct source *source) {
  if (source->count >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0) {
    source->text += 3;
    source->count -= 3;
  }
  if (source->count == 0 || source->text[0] != '#') return;
  const char *end = memchr(source->text, '\n', source->count);
  size_t length = end == NULL ? source->count : (size_t)(end - source->text);
  source->text += length;
  source->count -= length;
}

static int compile(lua_State *L) {
  struct source *source = lua_touserdata(L, 1);
  skip_preamble(source);
  lua_pushfstring(L, "=%s", source->name);
  // "t": text only, since compiled code could do anything to the interpreter.
  if (luaL_loadbufferx(L, source->text, source->count, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
  lua_setfield(L, LUA_REGISTRYINDEX, "chunk");
  return 0;
}

bool rpclua_compile(rpclua_machine *machine, const char *text, size_t count, const char *name) {
  struct source source = {text, name, count, 0};
  lua_State *L = machine->state;
  lua_pushcfunction(L, compile);
  lua_pushlightuserdata(L, &source);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  keep_message(machine);
  return false;
}

struct search {
  const char *name;
  int reference, parameters, line;
};

static int find(lua_State *L) {
  struct search *search = lua_touserdata(L, 1);
  lua_pushglobaltable(L);
  lua_pushstring(L, search->name);
  if (lua_rawget(L, -2) != LUA_TFUNCTION) return 0;
  lua_Debug record;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">Su", &record);
  search->parameters = record.isvararg ? -1 : record.nparams;
  search->line = record.linedefined;
  search->reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

int rpclua_find(rpclua_machine *machine, const char *name, int *parameters, int *line) {
  struct search search = {name, -1, 0, 0};
  lua_State *L = machine->state;
  lua_pushcfunction(L, find);
  lua_pushlightuserdata(L, &search);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_settop(L, 0);
    return -1;
  }
  *parameters = search.parameters;
  *line = search.line;
  return search.reference;
}
