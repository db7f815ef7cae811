#pragma once
// Lua 5.4 for procedures: one machine holds one source, sandboxed; calls are coroutines that run in slices of
// time. Everything that Lua may unwind with longjmp stays behind this header: no function of it throws, and
// none but the log callback runs the caller's code.
//
// A machine and its calls belong to one thread at a time.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rpclua_machine rpclua_machine;
typedef struct rpclua_call rpclua_call;

/// Takes one line that a procedure logged; `tag` is the call's.
typedef void (*rpclua_log)(void *tag, const char *bytes, size_t count);

/// What a procedure may ask of its call.
typedef enum rpclua_question {
  rpclua_asks_caller,
  rpclua_asks_metadata,
  rpclua_asks_deadline,
  /// Of the service, also while a source is loaded.
  rpclua_asks_secret,
  rpclua_asks_variable
} rpclua_question;
/// Answers with text that stays until the next question, or null; `tag` is the call's, `name` that of the metadata.
typedef const char *(*rpclua_tell)(void *tag, rpclua_question question, const char *name, size_t *count);

typedef struct rpclua_limits {
  /// Bytes that one call may hold.
  size_t call_bytes;
  /// Bytes that all calls of a machine may hold together.
  size_t machine_bytes;
  /// Bytes of one string or table.
  size_t value_bytes;
  /// Bytes of a call's encoded return values.
  size_t output_bytes;
  size_t log_bytes;
  size_t log_lines;
  /// Bytes of an error's message that are kept.
  size_t message_bytes;
  /// Processor time that a call may spend in a function that it cannot be paused in: a metamethod that a
  /// library function calls.
  uint32_t unpausable_milliseconds;
  /// Processor time that one operation of the interpreter may take, such as a step of the collector.
  uint32_t operation_milliseconds;
  /// Processor time that all slices together may take which took longer than `unpausable_milliseconds`.
  uint32_t overrun_milliseconds;
} rpclua_limits;

/// How a slice ended.
typedef enum rpclua_outcome {
  /// The call returned: `rpclua_output` has its values.
  rpclua_done,
  /// Its time slice is used up: resume it in a later turn.
  rpclua_paused,
  /// It calls another procedure: `rpclua_request` has what, `rpclua_answer` takes the result, then resume.
  rpclua_calling,
  /// It raised: `rpclua_message` and `rpclua_line`.
  rpclua_raised,
  /// It returned other types than declared: `rpclua_message` has those returned.
  rpclua_mismatched,
  /// It returned a value that cannot travel: `rpclua_message` says why.
  rpclua_unfit,
  /// Its return values have more bytes than the limit.
  rpclua_too_large,
  /// It holds more memory than the limit.
  rpclua_out_of_memory,
  /// It spent too long where it cannot be paused, at once or all in all.
  rpclua_unpausable,
  /// One operation of the interpreter took too long. The machine is beyond use: close it; its other calls
  /// are lost too.
  rpclua_ejected,
  /// Nothing has run: the arguments are not scalars of the declared types, or there is no memory for a call.
  rpclua_unread,
} rpclua_outcome;

/// A machine with the sandbox and nothing else, or null without memory.
rpclua_machine *rpclua_open(const rpclua_limits *limits, rpclua_log log);
/// Says who answers what procedures ask; without it the answer is nil.
void rpclua_answer_questions(rpclua_machine *machine, rpclua_tell tell);
/// A text of no bytes.
extern const char *const rpclua_empty;
/// Gives all its memory back at once. Its calls must have been ended.
void rpclua_close(rpclua_machine *machine);
/// Bytes in use, by live values and garbage, beyond those of the empty sandbox.
size_t rpclua_bytes(const rpclua_machine *machine);
/// Collects garbage for about a hundred microseconds. Returns whether a whole cycle has ended.
bool rpclua_collect(rpclua_machine *machine);

/// Compiles a source. False: `rpclua_machine_message` says why, with the line in front of a colon.
bool rpclua_compile(rpclua_machine *machine, const char *source, size_t count, const char *name);
const char *rpclua_machine_message(const rpclua_machine *machine);
/// A reference to the global function of that name: -1 where there is none. `*parameters` is -1 when it takes
/// any number.
int rpclua_find(rpclua_machine *machine, const char *name, int *parameters, int *line);

/// A call that is to run the compiled source's top level.
rpclua_call *rpclua_begin_load(rpclua_machine *machine, void *tag);
/// A call of a function that `rpclua_find` found. `parameters` and `returns` are type programs, which must
/// outlive the call: for each type its letter (i f s y b n a; L D O before the type they wrap). `arguments` is
/// a MessagePack list, already checked. Null without memory.
rpclua_call *rpclua_begin(
    rpclua_machine *machine, int function, const char *parameters, int parameter_count, const char *returns,
    int return_count, const uint8_t *arguments, size_t count, void *tag);
/// Begins a call and runs its first slice, without a copy where that is all: the arguments are read where they are, and
/// the values written into `buffer`. They need to last until this returns.
///
/// `is_checked`: as for `rpclua_begin`. Else the arguments are checked here, where all parameters are scalars.
/// `*left` is the call where there is more to do: it has not ended, failed, or its values (`rpclua_output`) have more
/// bytes than `capacity`. It is null with `rpclua_done`, when `*written` bytes were written, and `rpclua_unread`.
rpclua_outcome rpclua_run(
    rpclua_machine *machine, int function, const char *parameters, int parameter_count, const char *returns,
    int return_count, bool is_checked, const uint8_t *arguments, size_t count, uint8_t *buffer, size_t capacity,
    size_t *written, void *tag, rpclua_call **left);
/// Says whom a call logs for and asks from now on.
void rpclua_set_tag(rpclua_call *call, void *tag);
/// Runs the call until it ends, waits, or its slice is over.
rpclua_outcome rpclua_resume(rpclua_call *call);
/// Ends a call, wherever it is, and frees it.
void rpclua_end(rpclua_call *call);

const uint8_t *rpclua_output(const rpclua_call *call, size_t *count);
const char *rpclua_message(const rpclua_call *call, size_t *count);
/// Bytes of the message before it was cut.
size_t rpclua_message_total(const rpclua_call *call);
/// Bytes of the table that was too large, where that is why the call is out of memory; else 0.
size_t rpclua_refused(const rpclua_call *call);
/// The source line that raised, 0 if none.
int rpclua_line(const rpclua_call *call);
/// The procedure it calls, the server it names (null: any), and its arguments as a MessagePack list.
const char *rpclua_request(const rpclua_call *call, const char **server, const uint8_t **arguments, size_t *count);
/// The answer to a request: a MessagePack list of values, or an error's text.
void rpclua_answer(rpclua_call *call, bool success, const void *bytes, size_t count);
