"""What /proc says about the workers and the processes that they started."""

import mmap
import os

PAGE = mmap.PAGESIZE
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LISTS_CHILDREN = os.path.exists("/proc/thread-self/children")


def read_proc(pid, name):
    """A file of a process, or nothing where the process is gone."""
    try:
        with open("/proc/%d/%s" % (pid, name), "rb", 0) as file:
            return file.read(65536)
    except OSError:
        return b""


def stat_fields(pid):
    """The fields behind the name, which may hold anything: state, parent, group, …"""
    return read_proc(pid, "stat").rpartition(b")")[2].split()


def children(pid):
    """The processes that `pid` has started, or taken over, and that have not been waited for."""
    if not LISTS_CHILDREN:
        everybody = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [other for other in everybody if stat_fields(other)[1:2] == [b"%d" % pid]]
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return []
    return [int(child) for task in tasks for child in read_proc(pid, "task/%s/children" % task).split()]


def descendants(pid):
    found, new = [], children(pid)
    while new:
        found += new
        new = [child for parent in new for child in children(parent)]
    return found


def resident_bytes(pid):
    fields = read_proc(pid, "statm").split()
    return int(fields[1]) * PAGE if len(fields) > 1 else 0


def share_of_memory(pid):
    """Resident bytes, of which what several processes have in common is divided among them."""
    for line in read_proc(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)


def processor_seconds(pid):
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND if len(fields) > 12 else 0
