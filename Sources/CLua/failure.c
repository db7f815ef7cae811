#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// How a call fails: its error value becomes a message and a line.

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
  lua_pushcfunction(L, call_make_thread);
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

rpclua_outcome call_failed(rpclua_call *call, int status) {
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

const char *rpclua_message(const rpclua_call *call, size_t *count) {
  *count = call->message.count;
  return call->message.count ? (const char *)call->message.data : "";
}

size_t rpclua_message_total(const rpclua_call *call) { return call->message_total; }

size_t rpclua_refused(const rpclua_call *call) { return call->refused; }

int rpclua_line(const rpclua_call *call) { return call->line; }
