"""The bounds that hold for a worker and its calls."""

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


def bound(which, value, for_ever=False):
    """Bounds a resource of this process, as far as it may; for ever, so that nothing in it can lift that."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value if for_ever else hard))
