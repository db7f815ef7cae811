#include "internal.h"
#include "ticker.h"

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

int call_encode(lua_State *L) {
  rpclua_call *call = machine_of(L)->running;
  call->conversion.started = false;
  return encode_results(L, LUA_OK, (lua_KContext)call);
}

int call_body(lua_State *L) {
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

int call_make_thread(lua_State *L) {
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

rpclua_call *call_begin(rpclua_machine *machine, void *tag) {
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
  lua_pushcfunction(L, call_make_thread);
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
  rpclua_call *call = call_begin(machine, tag);
  if (call) call->is_load = true;
  return call;
}

bool call_set_input(rpclua_call *call, const void *bytes, size_t count) {
  call->input.count = 0;
  if (!bytes_reserve(call->machine, &call->input, count)) return false;
  if (count > 0) memcpy(call->input.data, bytes, count);
  call->input.count = count;
  return true;
}

rpclua_call *rpclua_begin(
    rpclua_machine *machine, int function, const char *parameters, int parameter_count, const char *returns,
    int return_count, const uint8_t *arguments, size_t count, void *tag) {
  rpclua_call *call = call_begin(machine, tag);
  if (!call) return NULL;
  call->function = function;
  call->parameters = parameters;
  call->parameter_count = parameter_count;
  call->returns = returns;
  call->return_count = return_count;
  if (!call_set_input(call, arguments, count)) {
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

rpclua_outcome rpclua_resume(rpclua_call *call) {
  if (call->started) return call_run(call, 0);
  call->started = true;
  if (!call->is_explaining) {
    lua_pushcfunction(call->thread, call_body);
    lua_pushlightuserdata(call->thread, call);
  }
  return call_run(call, 1);
}

rpclua_outcome call_run(rpclua_call *call, int arguments) {
  rpclua_machine *machine = call->machine;
  lua_State *L = call->thread;
  int results = 0;
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
  if (status == LUA_OK && call->is_direct) {
    call->is_direct = false;
    call->output.count = 0;
    if (!rpclua_encode_scalars(L, call)) {
      // A coroutine of its own, on the same thread: this may raise, and pause.
      lua_pushcfunction(L, call_encode);
      lua_insert(L, 1);
      status = lua_resume(L, NULL, lua_gettop(L) - 1, &results);
    }
  }
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
  if (status != LUA_OK) {
    call->is_direct = false;
    return call_failed(call, status);
  }
  lua_settop(L, 0);
  return rpclua_done;
}

const uint8_t *rpclua_output(const rpclua_call *call, size_t *count) {
  *count = call->output.count;
  return call->output.data;
}

const char *rpclua_request(
    const rpclua_call *call, const char **server, const uint8_t **arguments, size_t *count) {
  *server = call->request_server;
  *arguments = call->output.data;
  *count = call->output.count;
  return call->request_procedure;
}

void rpclua_answer(rpclua_call *call, bool success, const void *bytes, size_t count) {
  call->answer_succeeded = success && call_set_input(call, bytes, count);
  if (!success) call_set_input(call, bytes, count);
}
