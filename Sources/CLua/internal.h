#pragma once
#include "CLua.h"

#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

// Signals reach a sanitized program at its own calls only, never inside the interpreter: there a hook counts.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RPCLUA_COUNTS 1
#endif
#endif
#ifndef RPCLUA_COUNTS
#define RPCLUA_COUNTS 0
#endif

enum {
  kSliceMilliseconds = 1,
  kDepthMax = 64,
  kSmallClasses = 32,
  kClasses = kSmallClasses + 28,
  kIdleThreads = 16,
  kSpareCalls = 16,
  kSpareBytes = 16 * 1024,
  kIdentityRounds = 27,
  /// What Lua 5.4 needs for a string beside its bytes.
  kStringOverhead = 25,
};

// MARK: Memory

/// A machine's own heap, from memory mapped for it alone: it is given back as a whole, without walking what
/// is in it, and leaving it in the middle of an allocation harms nobody.
struct arena {
  void *free[kClasses];
  char *bump, *bump_end;
  struct chunk *chunks;
  struct large *large;
  size_t mapped;
  /// Large blocks that were freed, to be used again.
  struct large *spare;
  size_t spare_bytes;
  int spare_count;
};

void *arena_allocate(struct arena *arena, size_t size);
void arena_free(struct arena *arena, void *block, size_t size);
void *arena_resize(struct arena *arena, void *block, size_t old_size, size_t size);
/// Whether a block of the size would need nothing from the system.
bool arena_has_spare(const struct arena *arena, size_t size);
/// Gives the spare blocks back.
void arena_trim(struct arena *arena);
void arena_unmap(struct arena *arena);

/// Bytes outside the arena that grow at the end.
struct bytes {
  uint8_t *data;
  size_t count, capacity;
};

// MARK: Machine

struct rpclua_machine {
  lua_State *state;
  struct arena arena;
  rpclua_limits limits;
  rpclua_log log;
  rpclua_tell tell;
  /// The call that runs now.
  rpclua_call *running;
  /// The slice is over, or something else wants the call's attention: polled by every long loop in C.
  volatile sig_atomic_t expired;
  /// Not to be left by a jump: a lock or foreign memory may be held.
  volatile sig_atomic_t critical;
  volatile sig_atomic_t ticks;
  int ticks_checked;
  bool is_attended;
  uint64_t slice_processor;
  size_t used, base;
  /// The memory that the running call's output was lent: not to be given to the C library.
  const uint8_t *lent;
  /// Above a limit: collect, then see.
  bool over;
  /// No ticker: a hook counts instructions and looks at the clock.
  bool counts;
  int collected;
  sigjmp_buf escape;
  struct {
    lua_State *thread;
    int reference;
  } idle[kIdleThreads];
  int idle_count;
  /// Calls to be used again, with their buffers.
  rpclua_call *spare;
  int spare_count;
  char message[512];
  /// The cipher's key under which addresses are shown.
  uint32_t identity_key[kIdentityRounds];
};

// MARK: Call

struct frame {
  const char *type;
  size_t remaining, index, header;
  int table;
  /// 'L' a list, 'D' a map, 'w' a list whose keys are out of order, being walked, 'l' one that was.
  char kind;
};

/// A conversion that can be paused between two values.
struct conversion {
  struct frame frames[kDepthMax + 2];
  int depth;
  const char *type;
  int index, count;
  size_t offset, checked;
  bool has_value, started;
  unsigned work;
};

struct rpclua_call {
  rpclua_machine *machine;
  void *tag;
  lua_State *thread;
  int reference, function;
  const char *parameters, *returns;
  int parameter_count, return_count;
  /// Why it has to end; raised at every instruction until it has.
  rpclua_outcome verdict;
  bool started, is_load;
  /// The coroutine is the procedure's function itself: what it returns is still to be encoded.
  bool is_direct;
  /// Its error's `__tostring` runs, in a thread of its own.
  bool is_explaining;
  bool is_calling, answer_succeeded;
  ptrdiff_t held;
  /// Processor time of slices that took far too long because something in them could not be paused.
  uint64_t overrun;
  const char *request_server, *request_procedure;
  size_t log_bytes, log_lines;
  int line;
  /// Bytes of a table that was refused as too large, and of the message before it was cut.
  size_t refused, message_total;
  // From here on a call that is used again keeps what it has.
  struct bytes input, output, message;
  rpclua_call *next_spare;
  struct conversion conversion;
};

void call_free(rpclua_call *call);
rpclua_call *call_begin(rpclua_machine *machine, void *tag);
bool call_set_input(rpclua_call *call, const void *bytes, size_t count);
/// Runs a slice of a call whose coroutine has `arguments` values on its stack that it was not given yet.
rpclua_outcome call_run(rpclua_call *call, int arguments);
struct made {
  lua_State *thread;
  int reference;
};

/// Makes a coroutine, under lua_pcall; its argument is a `struct made`.
int call_make_thread(lua_State *L);
/// What a call ends with whose coroutine raised, the error value on top: goes on where that wants to be asked first.
rpclua_outcome call_failed(rpclua_call *call, int status);
/// Encodes what the procedure's function has returned, where the coroutine is that function.
int call_encode(lua_State *L);
/// The coroutine of every other call; its argument is the call.
int call_body(lua_State *L);

static inline rpclua_machine *machine_of(lua_State *L) {
  return *(rpclua_machine **)lua_getextraspace(L);
}

// MARK: Slices (slice.c)

/// Whether a loop in C should pause now, by lua_yieldk; raises where the call has to end. False also where
/// pausing is impossible: the loop goes on then.
bool rpclua_pause(lua_State *L);
static inline bool must_pause(lua_State *L) {
  return unlikely(machine_of(L)->expired) && rpclua_pause(L);
}

void rpclua_hook(lua_State *L, lua_Debug *record);
/// Makes the hook run at the next instruction.
void rpclua_attend(rpclua_machine *machine);
void rpclua_slice_begin(rpclua_machine *machine);
void rpclua_slice_end(rpclua_machine *machine);
void rpclua_set_current(rpclua_machine *machine);
uint64_t rpclua_processor_nanoseconds(void);
/// Raises because of the call's verdict.
int rpclua_raise_verdict(lua_State *L);

// MARK: Values (decode.c, encode.c)

bool bytes_reserve(rpclua_machine *machine, struct bytes *bytes, size_t more);
void bytes_append(lua_State *L, struct bytes *bytes, const void *data, size_t count);
void bytes_free(struct bytes *bytes);

/// Pushes `count` values read from the call's input. False: paused, call again.
bool rpclua_decode(lua_State *L, rpclua_call *call, const char *types, int count);
/// Appends the values from `first` to the top to the call's output as a list of `count`. Types null: Any.
/// False: paused, call again.
bool rpclua_encode(lua_State *L, rpclua_call *call, const char *types, int first, int count);
void conversion_begin(struct conversion *conversion);
/// Pushes the next value, a scalar that was checked.
void rpclua_push_scalar(lua_State *L, rpclua_call *call, size_t *offset, const char *type);
size_t utf8_valid_prefix(const char *bytes, size_t count, size_t from, size_t until);
/// Writes the types of the values 1 to `count` as declarations spell them.
void rpclua_describe(lua_State *L, int count, char *text, size_t capacity);
bool rpclua_is_null(lua_State *L, int index);
/// Ends the call with a verdict and its message.
int rpclua_fail(lua_State *L, rpclua_outcome verdict, const char *format, ...);

// MARK: Scalars (scalars.c)

enum scalars {
  /// Other values than declared, or a list or map among them.
  scalars_wrong,
  /// They can be pushed without memory.
  scalars_numbers,
  /// There are strings among them.
  scalars_strings,
};

/// What a MessagePack list of arguments is, held against declared types.
enum scalars rpclua_check_scalars(const char *types, int count, const uint8_t *bytes, size_t size);
/// Writes the values on the stack as a list into the call's empty output, where they are scalars that fit their types
/// and its capacity. Raises nothing. False: nothing is written.
bool rpclua_encode_scalars(lua_State *L, rpclua_call *call);

// MARK: Bounds (bounds.c)

/// Raises that a string of `bytes`, or of more than that, is too long, with the limit.
int rpclua_too_long(lua_State *L, size_t bytes, bool is_more);
/// As luaL_checkinteger and luaL_optinteger, which would read a numeral of 16 MiB byte by byte.
lua_Integer rpclua_integer(lua_State *L, int argument);
void rpclua_check_numeral(lua_State *L, int argument);
lua_Integer rpclua_optional_integer(lua_State *L, int argument, lua_Integer otherwise);
/// Wraps the library function on top: of its arguments those in `mask` (bit 0 is the first) are numbers.
void rpclua_guard_numbers(lua_State *L, unsigned mask);

// MARK: Text of values (show.c)

/// As luaL_tolstring, without the addresses that it shows.
const char *rpclua_tolstring(lua_State *L, int index, size_t *count);
/// Pushes what stands for the address of a value, as `%p` shows it.
void rpclua_push_identity(lua_State *L, int index);
void rpclua_make_identity_key(uint32_t keys[kIdentityRounds]);
/// Pushes the text of an error value that is a table: its message and its other fields.
void rpclua_push_error_fields(lua_State *L, int index);

// MARK: Libraries

void rpclua_open_base(lua_State *L);
void rpclua_open_strings(lua_State *L);
void rpclua_open_tables(lua_State *L);
void rpclua_open_rpc(lua_State *L);
/// Wraps the library function on top: its string arguments may have `limit` bytes.
void rpclua_guard(lua_State *L, const char *name, lua_Integer limit);
