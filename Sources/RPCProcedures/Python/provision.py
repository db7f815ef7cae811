"""What a worker is given by its service beside the sources: variables of the environment and secrets."""

import os
import time

from .codec import decode
from .protocol import HEADER, PROVIDE

# In memory where there is such a folder: a secret that was written to a disk can be found there later.
MEMORY = "/dev/shm"


def secrets_folder(folder):
    """Where the files of secrets of all workers are whose own folders are in `folder`."""
    return os.path.join(MEMORY if os.access(MEMORY, os.W_OK) else folder, os.path.basename(folder) + "-given")


class Provision:
    """Nothing, or what the PROVIDE frame says."""

    def __init__(self, payload=None):
        variables, secrets = decode(payload, 0)[0] if payload else ([], [])
        self.variables = dict(variables)
        self.secrets = {name: bytes(value) for name, value in secrets}
        self.folder = None

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
