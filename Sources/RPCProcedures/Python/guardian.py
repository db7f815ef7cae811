"""The process between the server and the parent of the workers, which lets nothing of theirs outlive them."""

import os
import signal
import socket
import sys
import time

from .confinement import read_filters
from .folders import make_folder, remove
from .namespaces import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, enter_namespaces, may_enter_namespaces, mount_proc
from .processes import descendants
from .provision import secrets_folder

# Between two rounds of killing, while what was killed has not ended yet.
KILL_SECONDS = 0.001


def read_arguments():
    """What a program of ours was started with, as NAME=NUMBER: its control socket, the filters of system calls, and the
    rest by name. Everything of it must have been imported, since what it was read from is closed."""
    program = sys.argv[0]
    if program in sys.path:
        # Procedures import nothing of ours.
        sys.path.remove(program)
    options = {}
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        options[name] = int(value)
    control = socket.socket(fileno=options.pop("control"))
    control.setblocking(True)
    os.close(options.pop("program"))
    filters = read_filters(options.pop("filters"), [options.pop(name) for name in ("base", "sockets", "modes", "ports")])
    os.chdir("/")
    return control, filters, options


def go_on_in_a_child(libc, control, uses_namespaces):
    """Goes on in a child, the parent of the workers, and leaves this process to guard it. In namespaces the kernel
    kills everything with that child. Without them it is this process to which falls what its end leaves behind.
    Returns whether there are namespaces, a descriptor that reads as ended once the guardian has, and the folder for
    those of the workers, which the guardian removes."""
    has_namespaces = bool(uses_namespaces) and may_enter_namespaces(libc)
    if has_namespaces:
        enter_namespaces(libc)
    folder = make_folder()
    # Signals that arrive before somebody waits for them must not be lost.
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ended, held = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(held)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        if has_namespaces:
            # It must not go on without the process that the server knows.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            mount_proc(libc)
        return has_namespaces, ended, folder
    try:
        control.close()
        os.close(ended)
        guard(child, awaited, has_namespaces)
        remove(secrets_folder(folder))
        remove(folder)
    finally:
        os._exit(0)


def guard(child, awaited, has_namespaces):
    """Waits until the child has ended or the server asks for its end, then ends all that is left."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while not has_ended(child):
        if signal.sigwait(awaited) == signal.SIGTERM:
            os.kill(child, signal.SIGKILL)
            break
    while not has_ended(None):
        # In namespaces /proc is the child's, whose process ids mean others here.
        if not has_namespaces:
            kill_descendants()
        time.sleep(KILL_SECONDS)


def has_ended(child):
    """Reaps what has ended. Returns whether `child` was among it, or nothing is left."""
    found = False
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return found
        found = found or pid == child


def kill_descendants():
    """What loses its parent becomes this process's child, so nothing gets away; what is started meanwhile is found in
    the next round."""
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
