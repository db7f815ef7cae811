"""Where procedures print to."""

import io
import os
import threading

from .limits import Limits


class LineSender(io.RawIOBase):
    """Standard output and error of a procedure: whole lines become LOG frames, up to a bound per call."""

    def __init__(self, worker, stream):
        self.worker = worker
        self.stream = stream
        self.partial = b""

    def writable(self):
        return True

    def fileno(self):
        """The descriptor that programs and C code write to; what comes there is logged too."""
        return self.stream

    def write(self, data):
        data = bytes(data)
        worker = self.worker
        if os.getpid() != worker.pid:
            return len(data)
        if threading.get_ident() != worker.thread:
            worker.log(self.stream, data.rstrip(b"\n").split(b"\n"))
            return len(data)
        worker.printed += len(data)
        if worker.printed > Limits.print_bytes:
            self.partial = b""
            raise RuntimeError("printed more than %d bytes in one call" % Limits.print_bytes)
        if worker.log_room > 0:
            lines = (self.partial + data).split(b"\n")
            self.partial = lines.pop()
            if len(self.partial) > worker.log_room:
                lines.append(self.partial)
                self.partial = b""
            if lines:
                worker.log(self.stream, lines)
        return len(data)

    def finish(self):
        if self.partial:
            lines, self.partial = [self.partial], b""
            self.worker.log(self.stream, lines)


class RawOutput:
    """What comes out of a worker's descriptors 1 and 2, and how much more of it may be passed on."""

    def __init__(self, worker):
        self.worker = worker
        self.since = 0
        self.bytes_left = 0
        self.partial = b""
        self.unreported = 0
