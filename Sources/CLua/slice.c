#define _GNU_SOURCE
#include "internal.h"
#include "ticker.h"

#include <time.h>

// What ends a slice: the tick's signal sets the count hook for the next instruction, and there the coroutine
// yields. Loops in C poll `expired` instead. Where neither comes to pass the call is ended by force, in two
// steps: inside a C boundary the hook raises at every instruction, so that nothing can catch it for long; in
// an operation of the interpreter itself (a collection, a rehash, a comparison of huge strings) the signal
// handler jumps out, and the whole machine is given up.

/// Instructions between two looks at the clock where no ticker can be had.
enum { kCountedInstructions = 1000 };

static _Thread_local rpclua_machine *volatile current;

uint64_t rpclua_processor_nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void rpclua_attend(rpclua_machine *machine) {
  machine->expired = 1;
  machine->is_attended = true;
  if (machine->running) lua_sethook(machine->running->thread, rpclua_hook, LUA_MASKCOUNT, 1);
}

static void on_tick(void) {
  rpclua_machine *machine = current;
  if (!machine) return;
  machine->ticks = machine->ticks + 1;
  // Processor time, so that a call is not blamed for what the rest of the computer does meanwhile.
  uint64_t now = rpclua_processor_nanoseconds();
  if (machine->ticks == 1) {
    machine->slice_processor = now;
  } else if (
      now - machine->slice_processor > machine->limits.operation_milliseconds * 1000000ull &&
      !machine->critical) {
    siglongjmp(machine->escape, 1);
  }
  // Setting a hook walks the whole stack of calls, which may be deep: once is enough, unless the interpreter
  // overlooked it.
  if (!machine->is_attended || machine->ticks % 8 == 0) rpclua_attend(machine);
  machine->expired = 1;
}

void rpclua_set_current(rpclua_machine *machine) { current = machine; }

void rpclua_slice_begin(rpclua_machine *machine) {
  machine->ticks = 0;
  machine->ticks_checked = 0;
  machine->expired = 0;
  machine->critical = 0;
  machine->counts = !ticker_begin(on_tick) || RPCLUA_COUNTS;
  machine->is_attended = false;
  lua_State *L = machine->running->thread;
  if (machine->over) {
    rpclua_attend(machine);
  } else if (machine->counts) {
    machine->slice_processor = rpclua_processor_nanoseconds();
    lua_sethook(L, rpclua_hook, LUA_MASKCOUNT, kCountedInstructions);
  } else {
    lua_sethook(L, NULL, 0, 0);
  }
}

void rpclua_slice_end(rpclua_machine *machine) {
  current = NULL;
  ticker_end();
  rpclua_call *call = machine->running;
  machine->running = NULL;
  if (machine->ticks == 0) return;
  uint64_t spent = rpclua_processor_nanoseconds() - machine->slice_processor;
  if (spent > machine->limits.unpausable_milliseconds * 1000000ull) call->overrun += spent;
}

// MARK: Ending a call

int rpclua_raise_verdict(lua_State *L) {
  rpclua_attend(machine_of(L));
  lua_pushlightuserdata(L, machine_of(L));
  return lua_error(L);
}

static void condemn(lua_State *L, rpclua_outcome verdict) {
  machine_of(L)->running->verdict = verdict;
  rpclua_raise_verdict(L);
}

/// Above the memory limit: collects, a slice at a time, and ends the call when that does not help.
static void collect_or_condemn(lua_State *L, rpclua_machine *machine) {
  while (machine->collected < 2) {
    // The second cycle takes what became garbage while the first one ran.
    if (lua_gc(L, LUA_GCSTEP, 256)) machine->collected++;
    else if (machine->ticks > 0) return;
  }
  machine->over = false;
  if (machine->running->held > (ptrdiff_t)machine->limits.call_bytes ||
      rpclua_bytes(machine) > machine->limits.machine_bytes)
    condemn(L, rpclua_out_of_memory);
}

static bool has_spent(rpclua_machine *machine, uint32_t milliseconds) {
  if (machine->ticks == 0 && !machine->counts) return false;
  return rpclua_processor_nanoseconds() - machine->slice_processor > milliseconds * 1000000ull;
}

/// Where pausing is impossible: ends the call when it has been there too long. Looks once a tick.
static void check_unpausable(lua_State *L, rpclua_machine *machine) {
  if (machine->ticks == machine->ticks_checked && !machine->counts) return;
  machine->ticks_checked = machine->ticks;
  if (has_spent(machine, machine->limits.unpausable_milliseconds)) condemn(L, rpclua_unpausable);
}

static void disarm(lua_State *L, rpclua_machine *machine) {
  machine->is_attended = false;
  lua_sethook(L, NULL, 0, 0);
}

void rpclua_hook(lua_State *L, lua_Debug *record) {
  (void)record;
  rpclua_machine *machine = machine_of(L);
  machine->critical = 0;
  if (machine->running->verdict) rpclua_raise_verdict(L);
  if (machine->over && lua_isyieldable(L)) {
    collect_or_condemn(L, machine);
    if (machine->ticks == 0 && !machine->over) {
      machine->expired = 0;
      disarm(L, machine);
      return;
    }
  }
  if (lua_gethookcount(L) > 1 && !has_spent(machine, kSliceMilliseconds)) return;
  if (lua_isyieldable(L)) {
    lua_yield(L, 0);
    return;
  }
  check_unpausable(L, machine);
  // `expired` stays, for the loop in C that called this; the next tick comes back here.
  if (lua_gethookcount(L) == 1) disarm(L, machine);
}

bool rpclua_pause(lua_State *L) {
  rpclua_machine *machine = machine_of(L);
  if (machine->running->verdict) rpclua_raise_verdict(L);
  if (lua_isyieldable(L)) return true;
  check_unpausable(L, machine);
  return false;
}
