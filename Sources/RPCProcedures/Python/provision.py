"""What a worker is given by its service beside the sources: variables of the environment, secrets and packages."""

import os
import site
import sys
import time

from .codec import decode
from .confinement import KNOWN_PATH
from .environment import SITE, name_of
from .folders import open_above
from .protocol import HEADER, PROVIDE

# In memory where there is such a folder: a secret that was written to a disk can be found there later.
MEMORY = "/dev/shm"


def forget_packages(folders):
    """Has no import find what was imported from these: packages of the server, as `.pth` files may do."""
    beginnings = tuple(os.path.join(folder, "") for folder in folders)
    names = {name for name, module in sys.modules.items()
             if (getattr(module, "__file__", None) or "").startswith(beginnings)}
    for hooks in sys.meta_path, sys.path_hooks:
        hooks[:] = [hook for hook in hooks if getattr(hook, "__module__", None) not in names]
    for name in names:
        del sys.modules[name]


def secrets_folder(folder):
    """Where the files of secrets of all workers are whose own folders are in `folder`."""
    return os.path.join(MEMORY if os.access(MEMORY, os.W_OK) else folder, os.path.basename(folder) + "-given")


class Provision:
    """Nothing, or what the PROVIDE frame says."""

    def __init__(self, payload=None):
        variables, secrets, packages = decode(payload, 0)[0] if payload else ([], [], None)
        self.variables = dict(variables)
        self.secrets = {name: bytes(value) for name, value in secrets}
        self.folder = None
        # Each version of Python has its own.
        self.packages = packages and name_of(packages)
        # Open for good: another user may not get there by its path.
        self.opened = None
        self.problem = None

    @classmethod
    def read(cls, connection):
        """The frame that comes before all others."""
        length, kind = HEADER.unpack(receive(connection, HEADER.size))[:2]
        if kind != PROVIDE:
            os._exit(70)
        return cls(receive(connection, length))

    def write(self, folder, owner):
        """Writes each secret to a file that its worker may read. The rules for files keep its procedures from changing them,
        whatever user owns them."""
        self.folder = folder
        for name, value in self.secrets.items():
            path = os.path.join(folder, name)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
            with os.fdopen(descriptor, "wb") as file:
                file.write(value)
            if owner is not None:
                os.chown(path, owner, owner)

    def open_packages(self):
        """Opens the folder of the packages. Returns what the rules for files are to let it read."""
        if self.packages is None:
            return []
        try:
            self.opened = open_above(self.packages, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            self.problem = "the packages that the service requires are not there: deploy again with --force"
            return []
        return ["/proc/self/fd/%d" % self.opened]

    def use_packages(self):
        """Has imports find them, instead of those of the server. It runs code of theirs: only where that is confined."""
        if self.opened is None:
            return
        path = self.packages
        try:
            os.listdir(path)
        except OSError:
            # As the programs that it starts reach it too.
            path = "/proc/%d/fd/%d" % (os.getpid(), self.opened)
        forget_packages([known for known in sys.path if known not in KNOWN_PATH])
        sys.path[:] = KNOWN_PATH
        sys.path_importer_cache.clear()
        # As in an interpreter that was started from there.
        sys.prefix = sys.exec_prefix = path
        sys.executable = os.path.join(path, "bin", "python3")
        os.environ["VIRTUAL_ENV"] = path
        os.environ["PATH"] = "%s/bin:%s" % (path, os.environ.get("PATH", os.defpath))
        try:
            site.addsitedir(os.path.join(path, SITE))
        except Exception as error:
            self.problem = "the packages that the service requires cannot be used: %s" % error

    def set_variables(self):
        os.environ.update(self.variables)
        if "TZ" in self.variables:
            time.tzset()

    def file(self, name):
        self.check(name)
        return os.path.join(self.folder, name)

    def text(self, name):
        """Without the line break that editors and `echo` end a file with."""
        self.check(name)
        try:
            text = self.secrets[name].decode()
        except UnicodeDecodeError:
            raise ValueError("the secret %r is not UTF-8: read the file that rpc.secret_file tells" % name) from None
        return text[:-2] if text.endswith("\r\n") else text[:-1] if text.endswith("\n") else text

    def check(self, name):
        if name not in self.secrets:
            raise LookupError("this service has no secret %r: name it in its 'secrets' in init.yaml" % (name,))


def receive(connection, count):
    received = bytearray()
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            os._exit(0)
        received += part
    return received
