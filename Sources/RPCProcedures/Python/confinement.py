"""What a worker may reach: applied in each worker before it reads the first byte of a procedure."""

import ctypes
import errno
import os
import resource
import struct
import sys

from .limits import bound
from .namespaces import CLONE_NEWIPC, CLONE_NEWNET, PR_SET_NO_NEW_PRIVS, drop_capabilities

PR_SET_DUMPABLE, PR_GET_SECCOMP, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 4, 21, 22, 2
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION, PATH_BENEATH, NET_PORT = 1, 1, 2
BIND, CONNECT = 1, 2
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1, 2, 4, 8, 1 << 14
# The rights over files that each version of Landlock has: all those below the bit.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
FILE_RIGHTS_SINCE_5 = 16
DEVICE_IOCTL = 1 << 15
NETWORK_SINCE, SCOPE_SINCE = 4, 6
READ = EXECUTE | READ_FILE | READ_DIR
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_IOCTL
# What programs need to run at all, beside the interpreter itself: libraries, certificates, the zones of time.
READABLE = "/usr /lib /lib32 /lib64 /bin /sbin /etc/ssl /etc/pki /etc/ca-certificates /etc/alternatives " \
    "/etc/ld.so.cache /etc/ld.so.conf /etc/ld.so.conf.d /etc/localtime /etc/timezone /etc/passwd /etc/group " \
    "/etc/nsswitch.conf /etc/hosts /etc/host.conf /etc/resolv.conf /etc/gai.conf /etc/services /etc/protocols " \
    "/etc/mime.types /sys/devices/system/cpu /proc/cpuinfo /proc/meminfo /proc/stat /proc/loadavg " \
    "/dev/urandom /dev/random".split()
WRITABLE = "/dev/null /dev/zero /dev/full".split()
# Ids that nobody has: one for each service, by its name. Where they are not mapped, nobody's.
FIRST_ID, IDS, NOBODY = 0x60000000, 1 << 20, 65534
# Threads count as processes here.
PROCESSES_OF_USER = 1024

# Before procedures can have changed it, and without what the program itself is read from: once that is closed its
# descriptor is another file's.
KNOWN_PATH = [path for path in sys.path if not path.startswith("/proc/")]

NAMESPACES, LANDLOCK, SECCOMP, OTHER_USER, IS_ROOT, GROUPS = 1, 2, 4, 8, 16, 32


class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class Order:
    """What the server says about a worker when it has it forked."""

    NETWORK, UNCONFINED, REQUIRED, PROVIDED = 1, 2, 4, 8

    def __init__(self, packet):
        self.network = bool(packet[0] & self.NETWORK)
        self.is_confined = not packet[0] & self.UNCONFINED
        self.is_required = bool(packet[0] & self.REQUIRED)
        self.is_provided = bool(packet[0] & self.PROVIDED)
        # How much memory a call may use that has the largest bound of its service.
        self.memory = int.from_bytes(packet[1:9], "little")
        service, *paths = packet[9:].split(b"\0")
        self.service = service.decode()
        # The only ports that it may connect to; none for all, where it may make sockets.
        self.ports = [int(path[1:]) for path in paths if path[:1] == b"p"]
        self.readable = [os.fsdecode(path[1:]) for path in paths if path[:1] == b"r"]
        self.writable = [os.fsdecode(path[1:]) for path in paths if path[:1] == b"w"]


class Confinement:
    """What this kernel and this user have of it."""

    def __init__(self, libc, filters, has_namespaces, has_groups):
        self.libc = libc
        self.base, self.sockets, self.modes, self.ports = filters
        self.has_namespaces = has_namespaces
        self.has_groups = has_groups
        self.abi = max(0, libc.syscall(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION))
        self.has_seccomp = libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0 and bool(self.base)
        self.is_root = os.geteuid() == 0
        self.user = self.usable_user() if self.is_root else None

    def refusal(self, order):
        """The errno that says why a worker cannot be confined as it must be, or 0."""
        if not order.is_confined:
            return 0
        if not self.abi or not self.has_seccomp:
            return errno.ENOSYS
        if order.ports and self.abi < NETWORK_SINCE:
            return errno.EPROTONOSUPPORT
        return errno.EOPNOTSUPP if order.is_required and not self.has_namespaces else 0

    @property
    def flags(self):
        """What READY tells."""
        return (NAMESPACES * self.has_namespaces | LANDLOCK * (self.abi > 0) | SECCOMP * self.has_seccomp
                | self.abi << 8 | OTHER_USER * (self.user is not None) | IS_ROOT * self.is_root
                | GROUPS * self.has_groups)

    def usable_user(self):
        """Another user's id that can run this interpreter, tried in a process of its own; None for none."""
        for user in FIRST_ID, NOBODY:
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    become(user)
                    for folder in filter(os.path.exists, [os.path.dirname(os.__file__), *KNOWN_PATH]):
                        os.listdir(folder) if os.path.isdir(folder) else open(folder, "rb").close()
                    open(os.__file__, "rb").close()
                    status = 0 if os.access(sys.executable, os.X_OK) else 1
                finally:
                    os._exit(status)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
                return user
        return None

    def user_of(self, service):
        if self.user != FIRST_ID:
            return self.user
        hash = 0x811C9DC5
        for byte in service.encode():
            hash = (hash ^ byte) * 0x01000193 & 0xFFFFFFFF
        return FIRST_ID + hash % IDS

    def give(self, folder, service):
        """Makes a folder the worker's own."""
        user = self.user_of(service)
        if user is not None:
            os.chown(folder, user, user)

    def enter(self, order, folder):
        """Confines this process and all that it starts, for ever."""
        libc = self.libc
        if self.has_namespaces and not order.network:
            # Each worker's own, without an interface that is up. Where that is refused no socket can be made anyhow.
            libc.unshare(CLONE_NEWNET | CLONE_NEWIPC)
        user = self.user_of(order.service)
        if user is not None:
            become(user)
            resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES_OF_USER, PROCESSES_OF_USER))
        elif self.is_root or self.has_namespaces:
            if not self.is_root:
                # Counted in the namespace of this user alone.
                bound(resource.RLIMIT_NPROC, PROCESSES_OF_USER, for_ever=True)
            drop_capabilities(libc)
        # Of its own files in /proc it is the owner again.
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if self.abi:
            self.restrict_files(order, folder)
        if self.has_seccomp:
            # The last one forbids none of the calls that apply it.
            for program in (
                    self.modes if self.is_root and user is None else b"",
                    self.ports if order.ports else b"" if order.network else self.sockets, self.base):
                self.apply(program)

    def apply(self, program):
        if not program:
            return
        filter = Filter(len(program) // 8, program)
        if self.libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp")

    def restrict_files(self, order, folder):
        rights = (1 << FILE_RIGHTS.get(self.abi, FILE_RIGHTS_SINCE_5)) - 1
        network = BIND | CONNECT if self.abi >= NETWORK_SINCE and (order.ports or not order.network) else 0
        # No abstract sockets and no signals beyond what it starts.
        scope = 3 if self.abi >= SCOPE_SINCE else 0
        attributes = struct.pack("<QQQ", rights, network, scope)
        size = 8 if self.abi < NETWORK_SINCE else 16 if self.abi < SCOPE_SINCE else 24
        rules = self.libc.syscall(LANDLOCK_CREATE, attributes, size, 0)
        if rules < 0:
            raise OSError(ctypes.get_errno(), "landlock")
        interpreter = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)} | set(sys.path)
        own = ["/proc"] if self.has_namespaces else ["/proc/self"]
        for path in [*READABLE, *own, *sorted(interpreter), *order.readable]:
            self.allow(rules, path, READ & rights)
        for path in WRITABLE:
            self.allow(rules, path, (READ_FILE | WRITE_FILE | TRUNCATE) & rights)
        for path in [folder, *order.writable]:
            self.allow(rules, path, rights & ~DEVICE_IOCTL)
        for port in order.ports:
            if self.libc.syscall(LANDLOCK_ADD, rules, NET_PORT, struct.pack("<QQ", CONNECT, port), 0) != 0:
                raise OSError(ctypes.get_errno(), "landlock port %d" % port)
        result = self.libc.syscall(LANDLOCK_RESTRICT, rules, 0)
        os.close(rules)
        if result != 0:
            raise OSError(ctypes.get_errno(), "landlock")

    def allow(self, rules, path, rights):
        if not path or path == "/":
            return
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        if not os.path.isdir(path):
            rights &= ON_FILES
        rule = struct.pack("<Qi", rights, descriptor)
        result = self.libc.syscall(LANDLOCK_ADD, rules, PATH_BENEATH, rule, 0)
        os.close(descriptor)
        if result != 0:
            raise OSError(ctypes.get_errno(), "landlock %s" % path)


def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def read_filters(descriptor, sizes):
    """The filters of system calls that the server made, one after the other in one file."""
    with os.fdopen(descriptor, "rb") as file:
        return [file.read(size) for size in sizes]
