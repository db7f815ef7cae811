#ifndef RPC_CLIBEDIT_H
#define RPC_CLIBEDIT_H

#include <histedit.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <wchar.h>

// Swift cannot call variadic functions: every form of el_wset, el_wget and history_w that the shell uses has a
// function of its own here, with the types that the form really takes.

typedef unsigned char (*rpc_edit_function)(EditLine *, wint_t);
typedef int (*rpc_edit_get_character)(EditLine *, wchar_t *);

// Reads and edits lines on standard input and output, but draws nothing: its output goes nowhere.
EditLine *rpc_edit_open(const char *program);
int rpc_edit_set_editor(EditLine *edit, const wchar_t *editor);
int rpc_edit_set_signal(EditLine *edit, int handles);
int rpc_edit_set_get_character(EditLine *edit, rpc_edit_get_character get);
int rpc_edit_set_client_data(EditLine *edit, void *data);
void *rpc_edit_client_data(EditLine *edit);
int rpc_edit_set_history(EditLine *edit, HistoryW *history);
int rpc_edit_set_edit_mode(EditLine *edit, int on);
int rpc_edit_set_prepared_terminal(EditLine *edit, int on);
int rpc_edit_add_function(
    EditLine *edit, const wchar_t *name, const wchar_t *help, rpc_edit_function function);
int rpc_edit_bind(EditLine *edit, const wchar_t *key, const wchar_t *function);

int rpc_history_set_size(HistoryW *history, int size);
int rpc_history_set_unique(HistoryW *history, int unique);
int rpc_history_enter(HistoryW *history, const wchar_t *line);
int rpc_history_clear(HistoryW *history);

// wcwidth(3), which the line editor measures with too.
int rpc_columns(unsigned scalar);

// Remembers the terminal's settings and puts them back, with what the editor switched on, when the program ends by
// a fault or by exit(). Async-signal-safe where it must be.
void rpc_terminal_guard(int descriptor);
void rpc_terminal_restore(void);

// A pipe that no other child inherits.
int rpc_pipe(int ends[2]);

#endif
