#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/// A slice begins on this thread: after it has lasted between one and two milliseconds `on_tick` is called on
/// this thread, from a signal handler, and every millisecond again until `ticker_end`. False where no ticker
/// can be had.
bool ticker_begin(void (*on_tick)(void));
void ticker_end(void);
/// After `on_tick` was left by a jump, which leaves the signal blocked.
void ticker_unblock(void);
