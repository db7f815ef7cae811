"""What a call may change in its process, and how it is put back for the calls after it."""

import contextlib
import faulthandler
import functools
import gc
import locale
import os
import signal
import socket
import sys


class Changes:
    """Notes that something was changed, so that calls which change nothing cost nothing."""

    def __init__(self):
        self.seen = False
        self.cannot_be_undone = False
        self.variables = set()
        # Code that calls into C libraries can change anything unseen.
        self.is_unsure = False
        self.is_paused = False

    @contextlib.contextmanager
    def unnoticed(self):
        """What the worker itself changes does not count as a change by a call."""
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False

    def event(self, name, arguments):
        """An audit event out of `STATE_EVENTS`."""
        if self.is_paused:
            return
        if name == "ctypes.dlsym" or name == "ctypes.dlsym/handle":
            self.is_unsure = True
        elif name in FINAL_EVENTS:
            self.cannot_be_undone = True
        else:
            self.seen = True
            if name in ("os.putenv", "os.unsetenv"):
                self.variables.add(arguments[0])


FINAL_EVENTS = {"resource.setrlimit", "resource.prlimit"}
STATE_EVENTS = FINAL_EVENTS | {
    "os.chdir", "os.putenv", "os.unsetenv", "sys.settrace", "sys.setprofile", "ctypes.dlsym", "ctypes.dlsym/handle",
}
UNDOABLE = {
    ("_signal", "signal"): "setitimer alarm signal set_wakeup_fd siginterrupt pthread_sigmask",
    ("posix", "os"): "umask",
    ("sys",): "setrecursionlimit setswitchinterval",
    ("_socket", "socket"): "setdefaulttimeout",
    ("faulthandler",): "enable disable dump_traceback_later register unregister",
    ("_locale",): "setlocale",
    ("locale",): "setlocale",
    ("gc",): "enable disable set_threshold",
}
FINAL = "nice setpriority sched_setaffinity sched_setscheduler sched_setparam setuid setgid seteuid setegid setreuid " \
    "setregid setresuid setresgid setgroups initgroups chroot setsid setpgid unshare setns"


def watch_changes(changes):
    """Wraps the functions that change what the process has and raise no audit event."""

    def wrap(modules, name, note):
        first = sys.modules.get(modules[0])
        function = getattr(first, name, None)
        if function is None:
            return

        @functools.wraps(function)
        def watched(*arguments, **options):
            setattr(changes, note, True)
            return function(*arguments, **options)

        for module in modules:
            # `signal.signal` is a function of its own, which calls `_signal.signal`.
            if getattr(sys.modules.get(module), name, None) is function:
                setattr(sys.modules[module], name, watched)

    for modules, names in UNDOABLE.items():
        for name in names.split():
            wrap(modules, name, "seen")
    for name in FINAL.split():
        wrap(("posix", "os"), name, "cannot_be_undone")


class State:
    """The state of the process as it is now. Each source has one, as its top level left it."""

    def __init__(self):
        self.directory = os.getcwd()
        self.mask = os.umask(0o077)
        os.umask(self.mask)
        self.recursion = sys.getrecursionlimit()
        self.switching = sys.getswitchinterval()
        self.timeout = socket.getdefaulttimeout()
        self.variables = dict(os.environb)
        self.path = list(sys.path)
        self.locale = locale.setlocale(locale.LC_ALL)
        self.handlers = {number: signal.getsignal(number) for number in HANDLED_SIGNALS}
        self.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.collects = gc.isenabled()
        self.thresholds = gc.get_threshold()

    def put_back(self, changes):
        """Returns whether everything could be put back."""
        try:
            for timer in TIMERS:
                signal.setitimer(timer, 0)
            signal.set_wakeup_fd(-1)
            signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)
            for number, handler in self.handlers.items():
                if signal.getsignal(number) != handler or changes.is_unsure and number not in FATAL_SIGNALS:
                    signal.signal(number, handler)
            faulthandler.cancel_dump_traceback_later()
            for number in HANDLED_SIGNALS:
                if number not in FATAL_SIGNALS:
                    faulthandler.unregister(number)
            faulthandler.enable(file=2, all_threads=False)
            sys.settrace(None)
            sys.setprofile(None)
            os.chdir(self.directory)
            os.umask(self.mask)
            sys.setrecursionlimit(self.recursion)
            sys.setswitchinterval(self.switching)
            socket.setdefaulttimeout(self.timeout)
            for name in changes.variables | set(os.environb) ^ set(self.variables):
                if name in self.variables:
                    os.environb[name] = self.variables[name]
                else:
                    os.environb.pop(name, None)
                    os.unsetenv(name)
            for name, value in self.variables.items():
                if os.environb.get(name) != value:
                    os.environb[name] = value
            sys.path[:] = self.path
            locale.setlocale(locale.LC_ALL, self.locale)
            gc.set_threshold(*self.thresholds)
            gc.enable() if self.collects else gc.disable()
        except Exception:
            return False
        changes.seen = False
        changes.variables.clear()
        return not changes.cannot_be_undone


TIMERS = signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF
HANDLED_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
FATAL_SIGNALS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}
