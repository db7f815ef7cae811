"""Control groups (cgroup v2): the kernel's own bounds on a worker with all that it starts, where the server was given a
group to divide, as `Delegate=` of systemd does."""

import errno
import os

from .limits import Limits
from .processes import stat_fields

# Where the server goes: a group that is divided has no processes of its own.
SERVER = "rpc-server"
WORKER = "worker-"
# Of dividing it, while processes come that must go there first.
ATTEMPTS = 20
# Processes of a worker and their threads, which count alike.
TASKS = 1024


class Groups:
    """Those of all workers, by worker."""

    def __init__(self, root):
        """`root` is the folder of the server's own group, -1 for none."""
        self.root = root
        self.known = {}
        self.ended = []
        # Each loop of the server has a parent, and all of them share the group.
        self.name = "%s%d-" % (WORKER, os.getpid())

    def take(self):
        """Divides the server's group, where it is the server's alone. Without one the other bounds remain."""
        if self.root < 0:
            return
        try:
            self.divide(os.getppid())
        except OSError:
            self.close()

    @property
    def are_used(self):
        return self.root >= 0

    def close(self):
        if self.root >= 0:
            os.close(self.root)
        self.root = -1

    def divide(self, server):
        if not {b"memory", b"pids"} <= set(self.read("cgroup.controllers").split()):
            raise OSError(errno.ENOTSUP, "cgroup.controllers")
        for _ in range(ATTEMPTS):
            inside = [int(pid) for pid in self.read("cgroup.procs").split()]
            if not all(pid == server or stat_fields(pid)[1:2] in ([b"%d" % server], []) for pid in inside):
                raise OSError(errno.EBUSY, "cgroup.procs")
            try:
                os.mkdir(SERVER, dir_fd=self.root)
            except FileExistsError:
                pass
            for pid in inside:
                self.move(pid)
            try:
                self.write("cgroup.subtree_control", "+memory +pids")
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                continue
            # What a server left here that was killed.
            self.ended = [name for name in os.listdir(self.root) if name.startswith(WORKER)]
            return self.remove_ended()
        raise OSError(errno.EBUSY, "cgroup.subtree_control")

    def move(self, pid):
        try:
            self.write(SERVER + "/cgroup.procs", str(pid))
        except ProcessLookupError:
            pass

    def make(self, worker, memory):
        """A group for a worker no call of which may use more memory. Returns the descriptor to which the worker says that
        it goes there."""
        self.remove_ended()
        name = self.name + str(worker)
        os.mkdir(name, dir_fd=self.root)
        self.known[worker] = name
        self.write(name + "/memory.max", str(max(memory, Limits.memory) + 2 * Limits.memory_slack))
        # One bound for all: what runs out of it ends as a whole.
        self.write(name + "/memory.oom.group", "1")
        self.write(name + "/pids.max", str(TASKS))
        try:
            self.write(name + "/memory.swap.max", "0")
        except OSError:
            # A kernel without swap has no bound on it.
            pass
        return self.open(name + "/cgroup.procs", os.O_WRONLY | os.O_CREAT)

    def kill(self, worker):
        """Kills everything that is in a worker's group, at once."""
        name = self.known.get(worker)
        if name is not None:
            try:
                self.write(name + "/cgroup.kill", "1")
            except OSError:
                # Before Linux 5.14; the other ways remain.
                pass

    def ran_out_of_memory(self, worker):
        """Whether the kernel has killed a worker for its group's bound."""
        name = self.known.get(worker)
        if name is None:
            return False
        try:
            events = dict(line.split() for line in self.read(name + "/memory.events").splitlines())
            return int(events.get(b"oom_kill", 0)) > 0
        except (OSError, ValueError):
            return False

    def forget(self, worker):
        name = self.known.pop(worker, None)
        if name is not None:
            self.ended.append(name)
            self.remove_ended()

    def remove_ended(self):
        """Removes groups in which nothing is left. What was killed may be there for a moment still: the others are tried
        again."""
        left = []
        for name in self.ended:
            try:
                os.rmdir(name, dir_fd=self.root)
            except FileNotFoundError:
                pass
            except OSError:
                left.append(name)
        self.ended = left

    def open(self, name, flags):
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644, dir_fd=self.root)

    def read(self, name):
        file = self.open(name, os.O_RDONLY)
        try:
            return os.read(file, 65536)
        finally:
            os.close(file)

    def write(self, name, text):
        # All of a group's files are there: the flag to make one is for folders that stand in for groups.
        file = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
