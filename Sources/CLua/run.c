#include "internal.h"

#include <stdlib.h>

// A call that ends in its first slice, which most do: nothing is made for it and nothing copied.

/// Puts the call's function and arguments on its coroutine's stack; returns how many values the coroutine begins with.
static int push_call(rpclua_call *call, bool is_direct) {
  lua_State *L = call->thread;
  if (!is_direct) {
    lua_pushcfunction(L, call_body);
    lua_pushlightuserdata(L, call);
    return 1;
  }
  call->is_direct = true;
  conversion_begin(&call->conversion);
  lua_rawgeti(L, LUA_REGISTRYINDEX, call->function);
  const char *type = call->parameters;
  size_t offset = 1;
  for (int index = 0; index < call->parameter_count; index++, type++) {
    rpclua_push_scalar(L, call, &offset, type);
    while (*type == 'O') type++;
  }
  return call->parameter_count;
}

/// Gives a call that goes on what it was lent until now. False without memory.
static bool keep(rpclua_call *call, struct bytes input, struct bytes output, const uint8_t *buffer) {
  struct bytes read = call->input, written = call->output;
  call->input = input;
  if (written.data == buffer) {
    call->output = output;
    call->output.count = 0;
    if (!bytes_reserve(call->machine, &call->output, written.count)) return false;
    memcpy(call->output.data, written.data, written.count);
    call->output.count = written.count;
  } else {
    bytes_free(&output);
  }
  return call_set_input(call, read.data, read.count);
}

rpclua_outcome rpclua_run(
    rpclua_machine *machine, int function, const char *parameters, int parameter_count, const char *returns,
    int return_count, bool is_checked, const uint8_t *arguments, size_t count, uint8_t *buffer, size_t capacity,
    size_t *written, void *tag, rpclua_call **left) {
  *left = NULL;
  enum scalars scalars = rpclua_check_scalars(parameters, parameter_count, arguments, count);
  if (scalars == scalars_wrong && !is_checked) return rpclua_unread;
  rpclua_call *call = call_begin(machine, tag);
  if (!call) return rpclua_unread;
  call->function = function;
  call->parameters = parameters;
  call->parameter_count = parameter_count;
  call->returns = returns;
  call->return_count = return_count;
  struct bytes input = call->input, output = call->output;
  // They are read only, here and wherever else.
  call->input = (struct bytes){(uint8_t *)arguments, count, count};
  call->output = (struct bytes){buffer, 0, capacity};
  machine->lent = buffer;
  call->started = true;
  rpclua_outcome outcome = call_run(call, push_call(call, scalars == scalars_numbers));
  machine->lent = NULL;
  if (outcome == rpclua_done && call->output.data == buffer) {
    *written = call->output.count;
    call->input = input;
    call->output = output;
    rpclua_end(call);
    return rpclua_done;
  }
  if (!keep(call, input, output, buffer) && outcome != rpclua_ejected) {
    call->verdict = rpclua_out_of_memory;
    outcome = rpclua_out_of_memory;
  }
  *left = call;
  return outcome;
}

void rpclua_set_tag(rpclua_call *call, void *tag) { call->tag = tag; }
