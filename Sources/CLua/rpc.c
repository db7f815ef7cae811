#include "builder.h"

// The table `rpc`: calls of other procedures, the log, and the value that stands for None where nil cannot.

/// What the nested call answered becomes its results; its error becomes ours.
static int take_answer(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  rpclua_call *call = machine_of(L)->running;
  if (!call->answer_succeeded) {
    lua_pushlstring(L, (const char *)call->input.data, call->input.count);
    call->conversion.started = false;
    return lua_error(L);
  }
  if (!call->conversion.started) {
    lua_settop(L, 0);
    conversion_begin(&call->conversion);
  }
  if (!rpclua_decode(L, call, NULL, -1)) return lua_yieldk(L, 0, 0, take_answer);
  call->conversion.started = false;
  return lua_gettop(L);
}

static int send_request(lua_State *L, int status, lua_KContext context) {
  (void)status;
  rpclua_call *call = machine_of(L)->running;
  int top = (int)context;
  if (!rpclua_encode(L, call, NULL, 3, top - 2)) return lua_yieldk(L, 0, context, send_request);
  call->conversion.started = false;
  call->is_calling = true;
  return lua_yieldk(L, 0, 0, take_answer);
}

/// rpc.call(server or nil, "service.procedure", arguments...): the values that it returns.
static int nested_call(lua_State *L) {
  rpclua_call *call = machine_of(L)->running;
  if (!lua_isnil(L, 1) && !rpclua_is_null(L, 1)) luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  if (!lua_isyieldable(L) || call->is_load)
    return luaL_error(L, "rpc.call works inside a procedure only, and not in what a library function calls back");
  call->request_server = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
  call->request_procedure = lua_tostring(L, 2);
  call->output.count = 0;
  conversion_begin(&call->conversion);
  int top = lua_gettop(L);
  luaL_checkstack(L, 16, NULL);
  return send_request(L, LUA_OK, top);
}

/// rpc.log(...) and print(...): one line of the log, bounded per call.
static int write_log(lua_State *L) {
  rpclua_machine *machine = machine_of(L);
  rpclua_call *call = machine->running;
  int top = lua_gettop(L);
  struct builder *line = builder_push(L, 0);
  size_t total = 0;
  for (int index = 1; index <= top; index++) {
    size_t count;
    const char *text = rpclua_tolstring(L, index, &count);
    size_t room = call->log_bytes > total ? call->log_bytes - total : 0;
    if (index > 1) builder_append(L, line, "\t", 1);
    builder_append(L, line, text, count < room ? count : room);
    total += count + 1;
    lua_pop(L, 1);
  }
  if (call->log_lines == 0 || call->log_bytes == 0) {
    builder_release(L, line);
    return 0;
  }
  bool is_last = call->log_lines == 1 || total >= call->log_bytes;
  call->log_lines = is_last ? 0 : call->log_lines - 1;
  call->log_bytes = is_last ? 0 : call->log_bytes - total;
  static const char dropped[] = "(more output of this call is dropped)";
  machine->critical = 1;
  machine->log(call->tag, line->bytes ? line->bytes : "", line->count);
  if (is_last) machine->log(call->tag, dropped, sizeof dropped - 1);
  machine->critical = 0;
  builder_release(L, line);
  return 0;
}

const char *const rpclua_empty = "";

void rpclua_answer_questions(rpclua_machine *machine, rpclua_tell tell) { machine->tell = tell; }

/// What is known of the call, or null. While a source is loaded there is none, but its service is known.
static const char *ask(lua_State *L, rpclua_question question, const char *name, size_t *count) {
  rpclua_machine *machine = machine_of(L);
  rpclua_call *call = machine->running;
  if (!machine->tell || (call->is_load && question < rpclua_asks_secret)) return NULL;
  machine->critical = 1;
  const char *text = machine->tell(call->tag, question, name, count);
  machine->critical = 0;
  return text;
}

/// rpc.caller(): the name of the client that calls, or nil.
static int caller(lua_State *L) {
  size_t count = 0;
  const char *text = ask(L, rpclua_asks_caller, NULL, &count);
  if (text) lua_pushlstring(L, text, count); else lua_pushnil(L);
  return 1;
}

/// rpc.metadata(name): what came with the call under this name, or nil.
static int metadata(lua_State *L) {
  size_t count = 0;
  const char *text = ask(L, rpclua_asks_metadata, luaL_checkstring(L, 1), &count);
  if (text) lua_pushlstring(L, text, count); else lua_pushnil(L);
  return 1;
}

/// rpc.secret(name): a secret of the service.
static int secret(lua_State *L) {
  size_t count = 0;
  const char *name = luaL_checkstring(L, 1);
  const char *text = ask(L, rpclua_asks_secret, name, &count);
  if (!text) return luaL_error(L, "this service has no secret '%s': name it in its 'secrets' in init.yaml", name);
  lua_pushlstring(L, text, count);
  return 1;
}

/// os.getenv(name): a variable that the service was given, or nil.
static int variable(lua_State *L) {
  size_t count = 0;
  const char *text = ask(L, rpclua_asks_variable, luaL_checkstring(L, 1), &count);
  if (text) lua_pushlstring(L, text, count); else lua_pushnil(L);
  return 1;
}

/// rpc.deadline(): the seconds that are left to the call, or nil.
static int deadline(lua_State *L) {
  size_t count = 0;
  const char *text = ask(L, rpclua_asks_deadline, NULL, &count);
  if (!text) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushlstring(L, text, count);
  lua_pushnumber(L, lua_tonumber(L, -1));
  return 1;
}

static int show_null(lua_State *L) {
  lua_pushstring(L, rpclua_is_null(L, 1) ? "rpc.null" : "userdata");
  return 1;
}

void rpclua_open_rpc(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, nested_call);
  lua_setfield(L, -2, "call");
  lua_pushcfunction(L, write_log);
  lua_setfield(L, -2, "log");
  lua_pushcfunction(L, caller);
  lua_setfield(L, -2, "caller");
  lua_pushcfunction(L, metadata);
  lua_setfield(L, -2, "metadata");
  lua_pushcfunction(L, deadline);
  lua_setfield(L, -2, "deadline");
  lua_pushcfunction(L, secret);
  lua_setfield(L, -2, "secret");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  lua_setglobal(L, "rpc");
  lua_getglobal(L, "os");
  lua_pushcfunction(L, variable);
  lua_setfield(L, -2, "getenv");
  lua_pop(L, 1);
  lua_pushcfunction(L, write_log);
  lua_setglobal(L, "print");
  lua_pushlightuserdata(L, NULL);
  lua_newtable(L);
  lua_pushcfunction(L, show_null);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}
