"""What the tests share: where the package is, and servers that do what a test says."""

import faulthandler
import os
import pathlib
import socket
import sys
import threading
import unittest
import warnings

PYTHON = pathlib.Path(__file__).resolve().parent.parent
if (PYTHON / "src").is_dir():
    sys.path.insert(0, str(PYTHON / "src"))

from simplerpc import Server, Topology  # noqa: E402
from simplerpc.errors import RPCError  # noqa: E402
from simplerpc.frames import BIND, BOUND, CALL, ERROR, HEADER, HELLO, PING, PONG, PREFACE, REPLY  # noqa: E402
from simplerpc.values import pack, unpack  # noqa: E402

TIMEOUT = 20  # seconds; a test that waits this long has failed


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection):
        self.connection, self.frames = connection, connection.makefile("rb")

    def greet(self, **hello):
        self.expect_preface()
        kind, _, payload = self.read()
        assert kind == HELLO
        self.send(HELLO, 0, pack({"version": 1, "agent": "fake", **hello}))
        return unpack(payload)

    def expect_preface(self):
        preface = self.frames.read(8)
        if not preface:
            raise ConnectionError("the client went before it said anything")
        assert preface == PREFACE, preface

    def read(self):
        """Kind, call id and payload of the next frame; nothing at the end."""
        header = self.frames.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, kind, self.flags, _, call_id = HEADER.unpack(header)
        return kind, call_id, self.frames.read(length)

    def send(self, kind, call_id, payload=b"", status=0):
        self.connection.sendall(HEADER.pack(len(payload), kind, 0, status, call_id) + payload)

    def bind(self, idempotent=False):
        kind, call_id, _ = self.read()
        assert kind == BIND, kind
        self.send(BOUND, call_id, pack([7, [], ["int"], idempotent]))

    def call(self):
        """The id of a call, which is the next frame."""
        kind, call_id, _ = self.read()
        assert kind == CALL, kind
        return call_id

    def fail(self, call_id, name, message, executed=0, status=14, **fields):
        self.send(ERROR, call_id, pack({"exception": name, "message": message, "executed": executed, **fields}), status)

    def wait(self):
        """Until the client goes."""
        while self.read():
            pass

    def serve(self, value=None, idempotent=False):
        """Answers each call with a value, or its first argument, until the client goes."""
        while True:
            frame = self.read()
            if not frame:
                return
            kind, call_id, payload = frame
            if kind == BIND:
                self.send(BOUND, call_id, pack([7, [], ["int"], idempotent]))
            elif kind == CALL:
                self.send(REPLY, call_id, pack([value]) if value is not None else pack(unpack(payload[8:])[:1]))
            elif kind == PING:
                self.send(PONG, call_id)


class Fake:
    """A server that runs a script for each connection, on a thread of its own; with several scripts the n-th connection gets
    the n-th, and those after the last the last."""

    def __init__(self, *scripts):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.scripts, self.problems, self.count = self.listener.getsockname()[1], scripts, [], 0
        self.connections = []
        self.address = f"127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.count, len(self.scripts) - 1)]
            self.count += 1
            self.connections.append(connection)
            self.threads.append(threading.Thread(target=self.run, args=[script, connection], daemon=True))
            self.threads[-1].start()

    def run(self, script, connection):
        peer = Peer(connection)
        with connection, peer.frames:
            try:
                script(peer)
            except OSError:
                pass  # the client went
            except Exception as problem:
                self.problems.append(problem)

    def __enter__(self):
        return self

    def stop(self):
        """Ends as a program that is killed: its connections end, and nobody gets another one."""
        for each in [self.listener, *self.connections]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was stopped
        for thread in self.threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "a script has not ended"
        self.listener.close()
        if self.problems:
            raise self.problems[0]


def two(first, second, service="s"):
    """A network of two servers that both provide a service."""
    servers = [Server(name, "127.0.0.1", fake if isinstance(fake, int) else fake.port) for name, fake in (("a", first), ("b", second))]
    return Topology(tuple(servers), {service: ("a", "b")})


def serving(peer):
    peer.greet()
    peer.serve()


def ways(client):
    """The two ways to make a call: by the thread that waits, and on the connection that all share."""

    def started(name, *arguments, **options):
        return client.start(name, *arguments, **options).result(TIMEOUT)

    return {"call": client.call, "start": started}


def fork():
    """Python warns of threads, which a child must not wait for: that is what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def free_port():
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Case(unittest.TestCase):
    def setUp(self):
        faulthandler.dump_traceback_later(4 * TIMEOUT, exit=True)

    def tearDown(self):
        faulthandler.cancel_dump_traceback_later()

    def refused(self, name, action, says=""):
        with self.assertRaises(RPCError) as caught:
            action()
        self.assertEqual(caught.exception.exception, name, caught.exception)
        self.assertIn(says, caught.exception.message)
        return caught.exception


def without_cryptography():
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: F401
    except ImportError:
        return True
    return False
