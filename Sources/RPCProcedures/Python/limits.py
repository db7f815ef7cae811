"""The bounds that hold for a worker and its calls."""

import mmap
import os
import resource


class Limits:
    """The bounds that the server hands over as `name=value` arguments."""

    memory = 512 << 20
    memory_slack = 256 << 20
    output = 16 << 20
    message_characters = 8192
    log_bytes = 64 << 10
    log_lines = 1000
    print_bytes = 8 << 20
    report_bytes = 1 << 20
    files = 256
    file_bytes = 256 << 20
    processes = 16
    # Whether the workers get process ids of their own where the kernel allows that.
    namespaces = 1


def bound_data(statm, memory):
    """Bounds what this process may allocate, once and for ever: beyond what it has now, the memory of a call, what counts
    and is not used, and as much again for modules and what calls leave behind."""
    has = int(os.pread(statm, 256, 0).split()[5]) * mmap.PAGESIZE
    bound(resource.RLIMIT_DATA, has + max(memory, Limits.memory) + 2 * Limits.memory_slack, for_ever=True)


def bound(which, value, for_ever=False):
    """Bounds a resource of this process, as far as it may; for ever, so that nothing in it can lift that."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value if for_ever else hard))
