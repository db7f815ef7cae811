"""The warm process that forks, kills and reaps workers."""

import errno
import gc
import os
import select
import signal
import socket
import struct
import sys
import time

from .calls import Shared
from .confinement import PR_SET_DUMPABLE, Confinement, Order
from .folders import Folders, remove
from .groups import Groups
from .guardian import go_on_in_a_child, read_arguments
from .limits import Limits
from .namespaces import PR_SET_CHILD_SUBREAPER, PR_SET_NAME
from .newborn import become_worker
from .output import RawOutput
from .processes import children, descendants, processor_seconds, resident_bytes, share_of_memory
from .provision import secrets_folder
from .protocol import ENDED, FORK, KILL, LEFTOVER, LOOK, LOOKED, MEMORY_EXCEEDED, NOT_FORKED, OUTPUT, OUTPUT_COUNT, \
    PACKET, READY, TOO_MANY
from .state import Changes, watch_changes

OUTPUT_BYTES = 16384
OUTPUT_READS_MAX = 64
PACKET_BYTES = 65536
# Of the processor, between two looks at an idle worker, that threads of finished calls may take.
IDLE_SHARE = 0.25
# Looks in a row that must find too much memory where several processes share it: one that is about to run another
# program has its parent's for a moment.
LOOKS_AT_SHARED_MEMORY = 2


class Parent:
    """Forks, kills and reaps workers; never runs a procedure."""

    def __init__(self, control, filters, groups):
        self.control = control
        self.groups = groups
        self.filters = filters
        self.confinement = None
        self.folders = Folders()
        self.cleaners = set()
        self.pid = os.getpid()
        self.workers = {}
        self.ids = {}
        self.outputs = {}
        self.shared = {}
        self.stopped = {}
        self.looks = {}
        self.poll = select.poll()
        self.libc = None
        self.has_namespaces = False
        self.guardian = None
        self.changes = Changes()

    def run(self):
        self.prepare_process()
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wakeup = wake_read, wake_write
        gc.collect()
        gc.freeze()
        self.tell(struct.pack("<cIII", READY, *sys.version_info[:2], self.confinement.flags if self.confinement else 0))
        self.poll.register(self.control, select.POLLIN)
        self.poll.register(wake_read, select.POLLIN)
        if self.guardian is not None:
            self.poll.register(self.guardian, select.POLLIN)
        while True:
            for ready, _ in self.poll.poll():
                if ready in self.outputs:
                    self.forward(ready)
                elif ready == wake_read:
                    try:
                        os.read(wake_read, 4096)
                    except BlockingIOError:
                        pass
                elif ready == self.guardian:
                    self.end()
                else:
                    self.receive()
            self.reap()

    def prepare_process(self):
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
            # Whoever signals the server's group means the server; the end of the control socket ends us.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        try:
            import ctypes

            self.libc = ctypes.CDLL(None, use_errno=True)
            self.libc.prctl(PR_SET_NAME, b"rpc-python", 0, 0, 0)
            self.groups.take()
            self.has_namespaces, self.guardian, self.folders.root = go_on_in_a_child(self.libc, self.control, Limits.namespaces)
            self.pid = os.getpid()
            # What a worker leaves behind when it ends comes to us.
            self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        except Exception:
            self.libc = None
        try:
            import site

            site.main()
        except Exception:
            pass
        if self.libc is not None:
            self.confinement = Confinement(self.libc, self.filters, self.has_namespaces, self.groups.are_used)
            # Its memory and descriptors are no worker's business, whatever user that is.
            self.libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        watch_changes(self.changes)

    def tell(self, packet):
        try:
            self.control.send(packet)
        except OSError:
            self.end()

    def receive(self):
        try:
            packet, descriptors, _, _ = socket.recv_fds(self.control, PACKET_BYTES, 1)
        except OSError:
            packet = b""
        if not packet:
            self.end()
        kind, worker = PACKET.unpack_from(packet)
        if kind == FORK and descriptors:
            self.fork(worker, descriptors[0], Order(packet[5:]))
        elif kind == KILL:
            pid = self.workers.get(worker)
            if pid is not None:
                self.kill(pid)
        elif kind == LOOK:
            self.look_after(packet[5:])
            self.tell(PACKET.pack(LOOKED, worker))

    def fork(self, worker, descriptor, order):
        refusal = self.confinement.refusal(order) if self.confinement else errno.ENOSYS * order.is_confined
        folder = given = group = None
        try:
            if refusal:
                raise OSError(refusal, "confine")
            if order.is_confined:
                folder = self.folders.make(worker, self.folders.root, order, self.confinement)
            if order.is_provided:
                given = self.folders.make(worker, secrets_folder(self.folders.root), order, self.confinement)
            if self.groups.are_used:
                group = self.groups.make(worker, order.memory)
        except OSError as error:
            os.close(descriptor)
            self.not_forked(worker, error)
            return
        shared = Shared()
        output, written = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(output, False)
        try:
            pid = os.fork()
        except OSError as error:
            for end in [descriptor, output, written] + [group] * (group is not None):
                os.close(end)
            self.not_forked(worker, error)
            return
        if pid == 0:
            try:
                become_worker(self, descriptor, written, shared, order, folder, given, group)
            finally:
                os._exit(70)
        os.close(descriptor)
        os.close(written)
        if group is not None:
            os.close(group)
        self.outputs[output] = RawOutput(worker)
        self.poll.register(output, select.POLLIN)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass
        self.workers[worker] = pid
        self.ids[pid] = worker
        self.shared[worker] = shared

    def not_forked(self, worker, error):
        self.remove_folders(worker)
        self.groups.forget(worker)
        self.tell(struct.pack("<cII", NOT_FORKED, worker, error.errno))

    def look_after(self, list):
        """Kills a worker whose call uses more memory than it may, and reports idle ones in which something of a
        finished call goes on. `list` has every worker of the server, as the server sees it."""
        looks = {}
        now = time.monotonic()
        for worker, calls, is_busy in struct.iter_unpack("<III", list):
            pid = self.workers.get(worker)
            if pid is None:
                continue
            if is_busy:
                found = self.look_at_memory(worker, pid, self.looks.get(worker))
                if found is not None:
                    looks[worker] = found
                continue
            seconds = processor_seconds(pid)
            before = self.looks.get(worker)
            if children(pid):
                self.tell(PACKET.pack(LEFTOVER, worker))
            elif before and before[0] == calls and seconds - before[1] > IDLE_SHARE * (now - before[2]) + 0.05:
                self.tell(PACKET.pack(LEFTOVER, worker))
            looks[worker] = calls, seconds, now
        self.looks = looks

    def look_at_memory(self, worker, pid, before):
        """Returns what the next look should know."""
        shared = self.shared[worker]
        base, limit = shared.base, shared.bound
        others = descendants(pid)
        if len(others) > Limits.processes:
            # However they were started: what a procedure's own programs start counts too.
            self.tell(struct.pack("<cIII", TOO_MANY, worker, len(others), Limits.processes))
            self.kill(pid)
            return None
        used = resident_bytes(pid) - base
        is_over = limit and used > limit
        if limit and not is_over and used + sum(map(resident_bytes, others)) > limit:
            used = share_of_memory(pid) + sum(map(share_of_memory, others)) - base
            if used > limit:
                looks = before[1] + 1 if before and before[0] == "shared" else 1
                if looks < LOOKS_AT_SHARED_MEMORY:
                    return "shared", looks
                is_over = True
        if is_over and (base, limit) == (shared.base, shared.bound):
            self.tell(struct.pack("<cIQQ", MEMORY_EXCEEDED, worker, used, limit))
            self.kill(pid)
        return None

    def forward(self, descriptor):
        """Passes on what a worker wrote, as much of it each second as the log takes; the rest is read too, since
        who writes must not wait, and dropped. The server is told how much it was: it knows which call wrote it."""
        output = self.outputs[descriptor]
        try:
            data = os.read(descriptor, OUTPUT_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.close_output(descriptor)
            return False
        output.unreported += len(data)
        if output.unreported >= Limits.report_bytes:
            self.tell(struct.pack("<cII", OUTPUT_COUNT, output.worker, output.unreported))
            output.unreported = 0
        now = time.monotonic()
        if now - output.since >= 1:
            output.since, output.bytes_left = now, Limits.log_bytes
        if output.bytes_left > 0:
            data = output.partial + data[:output.bytes_left]
            output.bytes_left -= len(data) - len(output.partial)
            end = data.rfind(b"\n") + 1 or (len(data) if len(data) >= OUTPUT_BYTES else 0)
            output.partial = data[end:]
            if end:
                self.tell(PACKET.pack(OUTPUT, output.worker) + data[:end])
        return True

    def drain(self, worker):
        for descriptor, output in list(self.outputs.items()):
            if output.worker == worker:
                for _ in range(OUTPUT_READS_MAX):
                    if not self.forward(descriptor):
                        break
                if descriptor in self.outputs:
                    self.close_output(descriptor)

    def close_output(self, descriptor):
        output = self.outputs.pop(descriptor)
        if output.partial:
            self.tell(PACKET.pack(OUTPUT, output.worker) + output.partial)
        self.poll.unregister(descriptor)
        os.close(descriptor)

    def kill(self, pid):
        """Kills a worker with its process group. What it started besides is killed when it has come to us."""
        self.groups.kill(self.ids.get(pid))
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    def reap(self):
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if ended.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED):
                # A worker that is stopped answers nobody any more.
                os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
                self.stopped[pid] = ended.si_status
                self.kill(pid)
                continue
            if pid in self.ids:
                # What it left in its group goes too, while its id cannot belong to anybody else yet.
                try:
                    os.killpg(pid, signal.SIGKILL)
                except OSError:
                    pass
            _, status = os.waitpid(pid, 0)
            self.cleaners.discard(pid)
            # Its children are ours now.
            self.kill_strays()
            stopped = self.stopped.pop(pid, 0)
            worker = self.ids.pop(pid, None)
            if worker is not None:
                del self.workers[worker]
                self.remove_folders(worker)
                shared = self.shared.pop(worker)
                if self.groups.ran_out_of_memory(worker):
                    self.tell(struct.pack("<cIQQ", MEMORY_EXCEEDED, worker, shared.bound + 1, shared.bound))
                self.groups.forget(worker)
                shared.page.close()
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
                number = stopped or (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
                self.drain(worker)
                self.tell(struct.pack("<cIii", ENDED, worker, code, number))

    def kill_strays(self):
        """Kills what workers that have ended left behind: every child of ours that is not a worker, since what a living
        worker starts stays its own descendant. Each one's children come to us in turn."""
        for pid in children(self.pid):
            if pid not in self.ids and pid not in self.cleaners:
                self.kill(pid)

    def remove_folders(self, worker):
        """Removes what a worker wrote and was given, beside: there may be a lot of it."""
        folders = self.folders.forget(worker)
        if not folders:
            return
        pid = os.fork()
        if pid == 0:
            try:
                self.control.close()
                for folder in folders:
                    remove(folder)
            finally:
                os._exit(0)
        self.cleaners.add(pid)

    def end(self):
        for pid in list(self.ids):
            self.kill(pid)
        # Reaping our workers makes their orphans ours: until there are none of either.
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            self.ids.pop(pid, None)
            self.kill_strays()
            if pid == 0:
                time.sleep(0.001)
        os._exit(0)


def main():
    """The program: `control=N` names the descriptor of the control socket, other arguments name bounds."""
    control, filters, options = read_arguments()
    groups = Groups(options.pop("groups"))
    for name, value in options.items():
        setattr(Limits, name, value)
    Parent(control, filters, groups).run()
