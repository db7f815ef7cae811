#include "internal.h"
#include "ticker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// A call: a coroutine that decodes its arguments, runs the function and encodes what that returns, each part
// in as many slices as it takes.

static int encode_results(lua_State *L, int status, lua_KContext context) {
  (void)status;
  rpclua_call *call = (rpclua_call *)context;
  if (!call->conversion.started) {
    conversion_begin(&call->conversion);
    call->output.count = 0;
    int returned = lua_gettop(L);
    // What is missing counts as nil, as everywhere in Lua.
    luaL_checkstack(L, call->return_count + 8, NULL);
    while (returned < call->return_count) {
      lua_pushnil(L);
      returned++;
    }
    for (int index = call->return_count + 1; index <= returned; index++)
      if (!lua_isnil(L, index)) rpclua_fail(L, rpclua_mismatched, NULL);
    lua_settop(L, call->return_count);
  }
  if (!rpclua_encode(L, call, call->returns, 1, call->return_count))
    return lua_yieldk(L, 0, context, encode_results);
  return 0;
}

static int decode_arguments(lua_State *L, int status, lua_KContext context) {
  (void)status;
  rpclua_call *call = (rpclua_call *)context;
  if (!rpclua_decode(L, call, call->parameters, call->parameter_count))
    return lua_yieldk(L, 0, context, decode_arguments);
  call->conversion.started = false;
  lua_callk(L, call->parameter_count, LUA_MULTRET, context, encode_results);
  return encode_results(L, LUA_OK, context);
}

static int run_loaded(lua_State *L, int status, lua_KContext context) {
  (void)L, (void)status, (void)context;
  return 0;
}

static int run(lua_State *L) {
  rpclua_call *call = lua_touserdata(L, 1);
  lua_settop(L, 0);
  if (call->is_load) {
    lua_getfield(L, LUA_REGISTRYINDEX, "chunk");
    lua_callk(L, 0, 0, (lua_KContext)call, run_loaded);
    return 0;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, call->function);
  conversion_begin(&call->conversion);
  return decode_arguments(L, LUA_OK, (lua_KContext)call);
}

// MARK: Beginning and ending

struct made {
  lua_State *thread;
  int reference;
};

static int make_thread(lua_State *L) {
  struct made *made = lua_touserdata(L, 1);
  made->thread = lua_newthread(L);
  made->reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static void recycle(rpclua_machine *machine, rpclua_call *call) {
  if (machine->spare_count < kSpareCalls && call->input.capacity + call->output.capacity <= kSpareBytes) {
    call->next_spare = machine->spare;
    machine->spare = call;
    machine->spare_count++;
  } else {
    call_free(call);
  }
}

void call_free(rpclua_call *call) {
  bytes_free(&call->input);
  bytes_free(&call->output);
  bytes_free(&call->message);
  free(call);
}

static rpclua_call *begin(rpclua_machine *machine, void *tag) {
  rpclua_call *call = machine->spare;
  if (call) {
    machine->spare = call->next_spare;
    machine->spare_count--;
    memset(call, 0, offsetof(rpclua_call, input));
    call->input.count = call->output.count = call->message.count = 0;
  } else {
    call = calloc(1, sizeof *call);
    if (!call) return NULL;
  }
  call->machine = machine;
  call->tag = tag;
  call->log_bytes = machine->limits.log_bytes;
  call->log_lines = machine->limits.log_lines;
  if (machine->idle_count > 0) {
    machine->idle_count--;
    call->thread = machine->idle[machine->idle_count].thread;
    call->reference = machine->idle[machine->idle_count].reference;
    return call;
  }
  struct made made = {NULL, 0};
  lua_State *L = machine->state;
  lua_pushcfunction(L, make_thread);
  lua_pushlightuserdata(L, &made);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_settop(L, 0);
    recycle(machine, call);
    return NULL;
  }
  call->thread = made.thread;
  call->reference = made.reference;
  return call;
}

rpclua_call *rpclua_begin_load(rpclua_machine *machine, void *tag) {
  rpclua_call *call = begin(machine, tag);
  if (call) call->is_load = true;
  return call;
}

static bool set_input(rpclua_call *call, const void *bytes, size_t count) {
  call->input.count = 0;
  if (!bytes_reserve(call->machine, &call->input, count)) return false;
  if (count > 0) memcpy(call->input.data, bytes, count);
  call->input.count = count;
  return true;
}

rpclua_call *rpclua_begin(
    rpclua_machine *machine, int function, const char *parameters, int parameter_count, const char *returns,
    int return_count, const uint8_t *arguments, size_t count, void *tag) {
  rpclua_call *call = begin(machine, tag);
  if (!call) return NULL;
  call->function = function;
  call->parameters = parameters;
  call->parameter_count = parameter_count;
  call->returns = returns;
  call->return_count = return_count;
  if (!set_input(call, arguments, count)) {
    rpclua_end(call);
    return NULL;
  }
  return call;
}

void rpclua_end(rpclua_call *call) {
  rpclua_machine *machine = call->machine;
  if (machine->arena.spare && machine->state) arena_trim(&machine->arena);
  // A thread whose call has returned serves the next one. Any other is left to the collector: resuming or
  // resetting it would run the procedure's code once more.
  if (call->thread && machine->state) {
    bool is_reusable = call->started && call->reference > 0 && lua_status(call->thread) == LUA_OK &&
                       call->verdict == rpclua_done && call->line == 0 && lua_gettop(call->thread) == 0;
    if ((is_reusable || !call->started) && machine->idle_count < kIdleThreads) {
      machine->idle[machine->idle_count].thread = call->thread;
      machine->idle[machine->idle_count].reference = call->reference;
      machine->idle_count++;
    } else {
      luaL_unref(machine->state, LUA_REGISTRYINDEX, call->reference);
    }
  }
  recycle(machine, call);
}

// MARK: Running

/// Keeps as much of a message as anyone is shown.
static void set_message(rpclua_call *call, const char *text, size_t count) {
  call->message.count = 0;
  call->message_total = count;
  if (count > call->machine->limits.message_bytes) count = call->machine->limits.message_bytes;
  if (!bytes_reserve(call->machine, &call->message, count + 1)) return;
  memcpy(call->message.data, text, count);
  call->message.data[count] = 0;
  call->message.count = count;
}

/// Takes `name:12: ` off the front of a message; returns the line.
static int strip_position(const char *name, const char **text, size_t *count) {
  size_t length = strlen(name);
  if (*count <= length + 1 || memcmp(*text, name, length) != 0 || (*text)[length] != ':') return 0;
  char *end;
  long line = strtol(*text + length + 1, &end, 10);
  if (line <= 0 || end[0] != ':' || end[1] != ' ') return 0;
  end += 2;
  *count -= (size_t)(end - *text);
  *text = end;
  return (int)line;
}

/// The line where the call's thread stands, and the name of its source.
static int find_line(lua_State *thread, char name[LUA_IDSIZE]) {
  lua_Debug record;
  for (int level = 0; lua_getstack(thread, level, &record); level++) {
    lua_getinfo(thread, "Sl", &record);
    if (record.currentline <= 0) continue;
    memcpy(name, record.short_src, LUA_IDSIZE);
    return record.currentline;
  }
  return 0;
}

/// Turns the error value of the call into a message. Runs under lua_pcall on the machine's own state.
static int explain(lua_State *L) {
  rpclua_call *call = lua_touserdata(L, 1);
  if (lua_type(L, 2) == LUA_TTABLE) {
    rpclua_push_error_fields(L, 2);
  } else if (lua_type(L, 2) == LUA_TSTRING || lua_type(L, 2) == LUA_TNUMBER) {
    lua_pushvalue(L, 2);
  } else {
    lua_pushfstring(L, "the error is %s%s", lua_isnil(L, 2) ? "" : "a ", luaL_typename(L, 2));
  }
  size_t count;
  const char *text = lua_tolstring(L, -1, &count);
  char name[LUA_IDSIZE] = "";
  int line = find_line(call->thread, name);
  // Its `__tostring` has returned: the line is that of the error.
  if (line == 0) line = call->line;
  if (*name) {
    int told = strip_position(name, &text, &count);
    if (told > 0) line = told;
  }
  call->line = line;
  set_message(call, text, count);
  return 0;
}

static int shown(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  if (!lua_isstring(L, -1)) return luaL_error(L, "'__tostring' must return a string");
  return 1;
}

/// The error value, and what its `__tostring` says of it.
static int show_error(lua_State *L) {
  luaL_getmetafield(L, 1, "__tostring");
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 1, 0, shown);
  return shown(L, LUA_OK, 0);
}

/// Prepares a thread in which the error's own `__tostring` runs, in slices like everything else.
static bool asks_error(rpclua_call *call) {
  rpclua_machine *machine = call->machine;
  lua_State *L = machine->state;
  if (call->is_explaining || luaL_getmetafield(call->thread, -1, "__tostring") == LUA_TNIL) return false;
  lua_pop(call->thread, 1);
  struct made made = {NULL, 0};
  lua_pushcfunction(L, make_thread);
  lua_pushlightuserdata(L, &made);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_settop(L, 0);
    return false;
  }
  char name[LUA_IDSIZE];
  call->line = find_line(call->thread, name);
  lua_pushcfunction(made.thread, show_error);
  lua_xmove(call->thread, made.thread, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, call->reference);
  call->thread = made.thread;
  call->reference = made.reference;
  call->is_explaining = true;
  call->started = false;
  return true;
}

static rpclua_outcome failed(rpclua_call *call, int status) {
  rpclua_machine *machine = call->machine;
  if (call->verdict == rpclua_done && status == LUA_ERRRUN && asks_error(call)) return rpclua_paused;
  if (call->verdict == rpclua_done)
    call->verdict = status == LUA_ERRMEM ? rpclua_out_of_memory : rpclua_raised;
  lua_State *L = machine->state;
  if (call->verdict == rpclua_raised || call->line == 0) {
    bool keeps_message = call->message.count > 0;
    struct bytes message = call->message;
    size_t total = call->message_total;
    if (keeps_message) memset(&call->message, 0, sizeof call->message);
    lua_pushcfunction(L, explain);
    lua_pushlightuserdata(L, call);
    lua_xmove(call->thread, L, 1);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
      lua_settop(L, 0);
      set_message(call, "not enough memory", 17);
    }
    if (keeps_message) {
      bytes_free(&call->message);
      call->message = message;
      call->message_total = total;
    }
  }
  return call->verdict;
}

rpclua_outcome rpclua_resume(rpclua_call *call) {
  rpclua_machine *machine = call->machine;
  lua_State *L = call->thread;
  volatile int arguments = 0;
  int results = 0;
  if (!call->started) {
    call->started = true;
    if (!call->is_explaining) {
      lua_pushcfunction(L, run);
      lua_pushlightuserdata(L, call);
    }
    arguments = 1;
  }
  call->is_calling = false;
  // Collecting what others left behind is not credited.
  if (call->held < 0) call->held = 0;
  machine->running = call;
  rpclua_slice_begin(machine);
  if (sigsetjmp(machine->escape, 0) != 0) {
    rpclua_slice_end(machine);
    ticker_unblock();
    machine->state = NULL;
    call->verdict = rpclua_ejected;
    return rpclua_ejected;
  }
  rpclua_set_current(machine);
  int status = lua_resume(L, NULL, arguments, &results);
  rpclua_slice_end(machine);
  if (status == LUA_YIELD) {
    if (call->overrun > machine->limits.overrun_milliseconds * 1000000ull) {
      call->verdict = rpclua_unpausable;
      return rpclua_unpausable;
    }
    return call->is_calling ? rpclua_calling : rpclua_paused;
  }
  if (status == LUA_OK && call->is_explaining) {
    // What was raised is now a text.
    status = LUA_ERRRUN;
  }
  if (status != LUA_OK) return failed(call, status);
  lua_settop(L, 0);
  return rpclua_done;
}

int rpclua_fail(lua_State *L, rpclua_outcome verdict, const char *format, ...) {
  rpclua_call *call = machine_of(L)->running;
  if (format) {
    va_list arguments;
    va_start(arguments, format);
    const char *text = lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    set_message(call, text, strlen(text));
  } else {
    char text[1024];
    luaL_checkstack(L, 64, NULL);
    rpclua_describe(L, lua_gettop(L), text, sizeof text);
    set_message(call, text, strlen(text));
  }
  call->verdict = verdict;
  lua_pushlightuserdata(L, call);
  return lua_error(L);
}

const uint8_t *rpclua_output(const rpclua_call *call, size_t *count) {
  *count = call->output.count;
  return call->output.data;
}

const char *rpclua_message(const rpclua_call *call, size_t *count) {
  *count = call->message.count;
  return call->message.count ? (const char *)call->message.data : "";
}

size_t rpclua_message_total(const rpclua_call *call) { return call->message_total; }

size_t rpclua_refused(const rpclua_call *call) { return call->refused; }

int rpclua_line(const rpclua_call *call) { return call->line; }

const char *rpclua_request(
    const rpclua_call *call, const char **server, const uint8_t **arguments, size_t *count) {
  *server = call->request_server;
  *arguments = call->output.data;
  *count = call->output.count;
  return call->request_procedure;
}

void rpclua_answer(rpclua_call *call, bool success, const void *bytes, size_t count) {
  call->answer_succeeded = success && set_input(call, bytes, count);
  if (!success) set_input(call, bytes, count);
}
