"""The module `rpc`: what procedures have beside Python."""

import os
import sys
import threading
import time
import types

from .codec import decode
from .errors import Error
from .protocol import ANSWER, ASK, FAILED, HEADER, RPC_LOG
from .values import Mismatch, TooLarge, Unfit, encode_any


def ask(worker, server, procedure, arguments):
    if os.getpid() != worker.pid or threading.get_ident() != worker.thread:
        raise RuntimeError("rpc.call works in the thread that runs the procedure")
    if not worker.is_calling:
        raise RuntimeError("rpc.call works inside a procedure only")
    payload = bytearray()
    try:
        encode_any([server, procedure, *arguments], payload)
    except (Unfit, Mismatch, TooLarge, OverflowError) as error:
        raise TypeError("these arguments cannot be passed to a procedure: %s" % error) from None
    worker.send(HEADER.pack(len(payload), ASK, 0, 0, worker.call) + payload)
    while True:
        kind, flags, call, at = worker.receive()
        if kind == ANSWER:
            break
        worker.do_forget(at, call, flags)
    values, _ = decode(worker.buffer, at)
    if flags & FAILED:
        raise Error(values)
    return None if not values else values[0] if len(values) == 1 else tuple(values)


def context(worker):
    """What came with the call in progress: its caller, its deadline, its metadata."""
    if not worker.is_calling or not worker.context:
        return None, None, {}
    return decode(worker.context, 0)[0]


def offer_rpc(worker):
    module = types.ModuleType("rpc")

    def call(server, procedure, *arguments):
        """Calls `service.procedure` on a server, or on any that provides it where `server` is None. Returns
        what it returns: None, a value, or a tuple of several."""
        return ask(worker, server, procedure, arguments)

    def log(*values):
        """Writes a line to the server's log."""
        if os.getpid() == worker.pid:
            text = " ".join(map(str, values))
            worker.log(RPC_LOG, text.encode("utf-8", "backslashreplace").split(b"\n"))

    def caller():
        """Who calls: the name of a client, or `service NAME` where a procedure of that service does; None where neither
        is known."""
        return context(worker)[0]

    def deadline():
        """How many seconds the call may go on; None where it may go on for ever."""
        end = context(worker)[1]
        return None if end is None else max(0, end - time.monotonic_ns()) / 1e9

    def metadata(name=None):
        """What came along with the call under this name, None where nothing did; without a name, all of it as a dict."""
        entries = context(worker)[2]
        return entries if name is None else entries.get(name)

    def secret(name):
        """A secret of the service, as text."""
        return worker.provision.text(name)

    def secret_file(name):
        """The path of a file with a secret of the service."""
        return worker.provision.file(name)

    module.call, module.log, module.Error = call, log, Error
    module.caller, module.deadline, module.metadata = caller, deadline, metadata
    module.secret, module.secret_file = secret, secret_file
    sys.modules["rpc"] = module
