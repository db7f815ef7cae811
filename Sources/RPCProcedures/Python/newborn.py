"""How a process that was forked becomes a worker."""

import faulthandler
import os
import resource
import signal
import socket
import sys

from .calls import call_guard
from .confinement import PR_SET_DUMPABLE
from .folders import open_above
from .limits import Limits, bound, bound_data
from .namespaces import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG
from .provision import Provision
from .worker import Worker


def become_worker(parent, descriptor, written, shared, order, folder, given, group):
    """Makes the process that was just forked a worker, and serves `descriptor` as one, for ever.

    `folder` is the one that it may write, `given` the one for what its service gives it, `group` leads to its control
    group; or None."""
    os.setpgid(0, 0)
    if group is not None:
        os.write(group, b"0")
        os.close(group)
    parent.groups.close()
    if parent.libc is not None:
        parent.libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        # Whatever a call starts stays this process's descendant, however it tries to get away.
        parent.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.set_wakeup_fd(-1)
    for name in ("SIGCHLD", "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parent.control.close()
    for end in parent.wakeup:
        os.close(end)
    if parent.guardian is not None:
        os.close(parent.guardian)
    for output in parent.outputs:
        os.close(output)
    # Those of other workers say what these may use.
    for other in parent.shared.values():
        other.page.close()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # What bypasses Python's own streams: programs that a procedure starts, and the interpreter's last words.
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.close(written)
    faulthandler.enable(file=2, all_threads=False)
    try:
        # Where memory runs out a worker goes before the server does.
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    except OSError:
        pass
    bound(resource.RLIMIT_CORE, 0, for_ever=True)
    bound(resource.RLIMIT_NOFILE, Limits.files, for_ever=True)
    bound(resource.RLIMIT_FSIZE, Limits.file_bytes, for_ever=True)
    if order.ports:
        # The rules are about TCP: names are asked for by it.
        os.environ["RES_OPTIONS"] = "use-vc"
    sys.argv = ["procedure"]
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    provision = Provision()
    if given is not None:
        provision = Provision.read(connection)
        provision.write(given, parent.confinement.user_of(order.service) if order.is_confined else None)
        provision.set_variables()
        order.readable += [given, *provision.open_packages()]
    if folder is not None:
        os.environ["TMPDIR"] = folder
    # Open from here on: the rules for files are about paths.
    statm = open_above("/proc/self/statm", os.O_RDONLY)
    bound_data(statm, order.memory)
    if order.is_confined:
        parent.confinement.enter(order, folder)
    if parent.libc is not None:
        # A change of the user would have undone it.
        parent.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent.pid:
        os._exit(0)
    provision.use_packages()
    worker = Worker(connection, shared, parent.changes, statm, folder, provision)
    worker.threads.watch(worker)
    sys.addaudithook(call_guard(worker))
    parent.changes.__init__()
    worker.serve()
