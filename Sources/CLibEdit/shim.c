#define _GNU_SOURCE
#include "CLibEdit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

EditLine *rpc_edit_open(const char *program) {
  FILE *nowhere = fopen("/dev/null", "we");
  if (nowhere == NULL) return NULL;
  EditLine *edit = el_init_fd(program, stdin, nowhere, stderr, 0, 1, 2);
  if (edit == NULL) fclose(nowhere);
  return edit;
}

int rpc_edit_set_editor(EditLine *edit, const wchar_t *editor) { return el_wset(edit, EL_EDITOR, editor); }

int rpc_edit_set_signal(EditLine *edit, int handles) { return el_wset(edit, EL_SIGNAL, handles); }

int rpc_edit_set_get_character(EditLine *edit, rpc_edit_get_character get) {
  return el_wset(edit, EL_GETCFN, get);
}

int rpc_edit_set_client_data(EditLine *edit, void *data) { return el_wset(edit, EL_CLIENTDATA, data); }

void *rpc_edit_client_data(EditLine *edit) {
  void *data = NULL;
  return el_wget(edit, EL_CLIENTDATA, &data) == 0 ? data : NULL;
}

int rpc_edit_set_history(EditLine *edit, HistoryW *history) {
  return el_wset(edit, EL_HIST, history_w, history);
}

int rpc_edit_set_edit_mode(EditLine *edit, int on) { return el_wset(edit, EL_EDITMODE, on); }

int rpc_edit_set_prepared_terminal(EditLine *edit, int on) { return el_wset(edit, EL_PREP_TERM, on); }

int rpc_edit_add_function(
    EditLine *edit, const wchar_t *name, const wchar_t *help, rpc_edit_function function) {
  return el_wset(edit, EL_ADDFN, name, help, function);
}

int rpc_edit_bind(EditLine *edit, const wchar_t *key, const wchar_t *function) {
  return el_wset(edit, EL_BIND, key, function, NULL);
}

int rpc_history_set_size(HistoryW *history, int size) {
  HistEventW event;
  return history_w(history, &event, H_SETSIZE, size);
}

int rpc_history_set_unique(HistoryW *history, int unique) {
  HistEventW event;
  return history_w(history, &event, H_SETUNIQUE, unique);
}

int rpc_history_enter(HistoryW *history, const wchar_t *line) {
  HistEventW event;
  return history_w(history, &event, H_ENTER, line);
}

int rpc_history_clear(HistoryW *history) {
  HistEventW event;
  return history_w(history, &event, H_CLEAR);
}

static int guarded = -1;
static struct termios guarded_settings;
static char guard_stack[16384];

void rpc_terminal_restore(void) {
  if (guarded < 0) return;
  tcsetattr(guarded, TCSANOW, &guarded_settings);
  // Bracketed paste off, colours off, cursor shown.
  static const char off[] = "\033[?2004l\033[0m\033[?25h";
  ssize_t ignored = write(guarded, off, sizeof off - 1);
  (void)ignored;
}

static void fault(int number) {
  rpc_terminal_restore();
  // The handler was taken away on entry: this ends the program as if it had never been there.
  raise(number);
}

void rpc_terminal_guard(int descriptor) {
  if (tcgetattr(descriptor, &guarded_settings) != 0) return;
  guarded = descriptor;
  stack_t stack = {.ss_sp = guard_stack, .ss_size = sizeof guard_stack};
  sigaltstack(&stack, NULL);
  static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
  for (size_t index = 0; index < sizeof faults / sizeof *faults; index++) {
    struct sigaction action = {0};
    action.sa_handler = fault;
    action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK);
    sigaction(faults[index], &action, NULL);
  }
  atexit(rpc_terminal_restore);
}

int rpc_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int rpc_columns(unsigned scalar) { return wcwidth((wchar_t)scalar); }
