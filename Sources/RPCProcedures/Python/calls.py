"""What belongs to which call: threads, late lines, processes; and the page that worker and parent share."""

import errno
import functools
import mmap
import os
import struct
import threading
import time

from .limits import Limits
from .state import STATE_EVENTS

# How long calls may run until the memory is measured again that they left behind.
UNMEASURED_SECONDS = 0.005
# Processor time that threads of finished calls may take, in all.
LEFT_THREADS_SECONDS = 0.25
NUMBER = struct.Struct("<Q")


class Shared:
    """A page of memory: how many processes the call has started, over all its descendants; how much was resident when
    the call began; how much it may use beyond that."""

    def __init__(self):
        self.page = mmap.mmap(-1, mmap.PAGESIZE)

    def start_call(self):
        self.page[0:8] = bytes(8)

    @property
    def forks(self):
        return NUMBER.unpack_from(self.page, 0)[0]

    @forks.setter
    def forks(self, count):
        NUMBER.pack_into(self.page, 0, count)

    @property
    def base(self):
        return NUMBER.unpack_from(self.page, 8)[0]

    @base.setter
    def base(self, count):
        NUMBER.pack_into(self.page, 8, count)

    @property
    def bound(self):
        return NUMBER.unpack_from(self.page, 16)[0]

    @bound.setter
    def bound(self, count):
        NUMBER.pack_into(self.page, 16, count)


class ThreadWatch:
    """Knows which call started a thread, and sees that threads which outlive their call do not take the processor."""

    def __init__(self):
        self.kept = threading.active_count()
        self.others = 0.0
        self.since = 0.0

    def keep(self):
        """The threads that there are now belong to a source and not to a call."""
        self.kept = threading.active_count()

    def watch(self, worker):
        """A thread is its starter's call's."""
        start = threading.Thread.start

        @functools.wraps(start)
        def watched(thread):
            thread.rpc_owner = self.owner(worker)
            start(thread)

        threading.Thread.start = watched

    def owner(self, worker):
        """The call and the unit that the current thread works for, or None where that is not known."""
        if threading.get_ident() == worker.thread:
            return worker.call, worker.unit
        return getattr(threading.current_thread(), "rpc_owner", None)

    def burn(self):
        """Asked at the end of a call: have threads of finished calls used up what they may?"""
        if threading.active_count() <= self.kept:
            self.since = 0.0
            return False
        others = time.process_time() - time.thread_time()
        if not self.since:
            # Until now they may have worked for the call.
            self.since = others
        return others - self.since > LEFT_THREADS_SECONDS


class LateOutput:
    """Lines of calls that were answered before: as many bytes in a second as one call may log."""

    def __init__(self):
        self.began = 0.0
        self.bytes_left = 0

    def passed(self, lines):
        now = time.monotonic()
        if now - self.began >= 1:
            self.began, self.bytes_left = now, Limits.log_bytes
        passed = []
        for line in lines:
            if self.bytes_left <= 0:
                break
            passed.append(line.decode("utf-8", "backslashreplace")[:self.bytes_left])
            self.bytes_left -= len(line) + 1
        return passed


def leaves_children():
    """Waits for children that have ended; returns whether there are others."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
        except ChildProcessError:
            return False


def leaves_descriptors():
    """Whether so many descriptors are open that calls which come here next would have too few."""
    try:
        lowest = os.dup(0)
    except OSError:
        return True
    os.close(lowest)
    return lowest >= Limits.files // 2


def call_guard(worker):
    """Watches what calls do: bounds the processes that one may start, over all its descendants, and notes what is
    changed."""
    forks = {"os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"}
    shared, changes = worker.shared, worker.changes

    def guard(event, arguments):
        if event in forks:
            count = shared.forks + 1
            shared.forks = count
            if count > Limits.processes:
                raise OSError(errno.EAGAIN, "the call started more than %d processes" % Limits.processes)
        elif event in STATE_EVENTS:
            changes.event(event, arguments)

    return guard
