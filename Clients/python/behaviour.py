"""What simplerpc.py does when things go wrong, against a server that does what each test says: python3 behaviour.py"""

import faulthandler
import logging
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import unittest
from concurrent.futures import CancelledError

from simplerpc import BIND, BOUND, CALL, CANCEL, ERROR, GENERATION, GOAWAY, HEADER, HELLO, PING, PONG, PREFACE, REPLY
from simplerpc import Client, RPCError, pack, unpack

TIMEOUT = 20  # seconds; a test that waits this long has failed


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection):
        self.connection, self.frames = connection, connection.makefile("rb")

    def greet(self, **hello):
        assert self.frames.read(8) == PREFACE and self.read()[0] == HELLO
        self.send(HELLO, 0, pack({"version": 1, "agent": "fake"} | hello))

    def read(self):
        """Kind, call id and payload of the next frame; nothing at the end."""
        header = self.frames.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, kind, _, _, call_id = HEADER.unpack(header)
        return kind, call_id, self.frames.read(length)

    def send(self, kind, call_id, payload=b"", status=0):
        self.connection.sendall(HEADER.pack(len(payload), kind, 0, status, call_id) + payload)

    def bind(self):
        kind, call_id, _ = self.read()
        assert kind == BIND, kind
        self.send(BOUND, call_id, pack([7, [], ["int"], False]))

    def fail(self, call_id, name, message, executed=0):
        self.send(ERROR, call_id, pack({"exception": name, "message": message, "executed": executed}), 14)

    def serve(self):
        """Answers each call with its first argument until the client goes."""
        while frame := self.read():
            kind, call_id, payload = frame
            if kind == BIND:
                self.send(BOUND, call_id, pack([7, [], ["int"], False]))
            elif kind == CALL:
                self.send(REPLY, call_id, pack(unpack(payload[8:])[:1]))
            elif kind == PING:
                self.send(PONG, call_id)


class Fake:
    """A server that runs a script for each connection, on a thread."""

    def __init__(self, script):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.script, self.problem = self.listener.getsockname()[1], script, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.script(Peer(connection))
                except OSError:
                    pass  # the client went
                except Exception as problem:
                    self.problem = problem

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive(), "the script has not ended"
        self.listener.close()
        if self.problem:
            raise self.problem


class Behaviour(unittest.TestCase):
    def setUp(self):
        faulthandler.dump_traceback_later(3 * TIMEOUT, exit=True)

    def tearDown(self):
        faulthandler.cancel_dump_traceback_later()

    def refused(self, name, action, says=""):
        with self.assertRaises(RPCError) as caught:
            action()
        self.assertEqual(caught.exception.exception, name)
        self.assertIn(says, caught.exception.message)
        return caught.exception

    def test_a_future_that_is_cancelled_leaves_the_client_alive(self):
        seen, arrived = [], threading.Event()

        def script(peer):
            peer.greet()
            peer.bind()
            _, first, _ = peer.read()
            arrived.set()
            seen.append(peer.read()[:2])
            peer.send(REPLY, first, pack([1]))  # too late
            peer.serve()

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            future = client.start("s.p", 1)
            self.assertTrue(arrived.wait(TIMEOUT))
            self.assertTrue(future.cancel())
            with self.assertRaises(CancelledError):
                future.result(TIMEOUT)
            self.assertEqual(client.call("s.p", 2, timeout=TIMEOUT), 2)
            self.assertEqual(seen, [(CANCEL, 2)])
            self.assertEqual(client.call("s.p", 4, timeout=TIMEOUT), 4)

    def test_a_call_that_is_cancelled_before_its_procedure_is_bound_is_never_sent(self):
        go = threading.Event()
        kinds = []

        def script(peer):
            peer.greet()
            _, call_id, _ = peer.read()
            go.wait(TIMEOUT)
            peer.send(BOUND, call_id, pack([7, [], ["int"], False]))
            while frame := peer.read():
                kinds.append(frame[0])
                peer.send(PONG, frame[1])

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            self.assertTrue(client.start("s.p", 1).cancel())
            error = self.refused("DeadlineExceeded", lambda: client.call("s.p", 2, timeout=0.01))
            self.assertEqual(error.executed, "no")
            go.set()
            client.ping(TIMEOUT)
        self.assertEqual(kinds, [PING])

    def test_a_callback_may_raise_exit_or_wait_and_others_get_their_answers(self):
        gate = threading.Semaphore(0)

        def script(peer):
            peer.greet()
            for _ in range(3):
                peer.bind()
                call_id = peer.read()[1]
                gate.acquire(timeout=TIMEOUT)
                peer.send(GENERATION, 1)
                peer.send(REPLY, call_id, pack([1]))
                peer.bind()
                call_id = peer.read()[1]
                peer.send(GENERATION, 1)
                peer.send(REPLY, call_id, pack([2]))
            peer.serve()

        found = []

        def exits(_):
            sys.exit("from a callback")

        def fails(_):
            raise ValueError("from a callback")

        def waits(_):
            try:
                client.call("s.q", 1, timeout=TIMEOUT)
            except RuntimeError as error:
                found.append(str(error))

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            hook, sys.excepthook = sys.excepthook, lambda *_: None
            logging.disable(logging.CRITICAL)
            try:
                for callback in (exits, fails, lambda _: None):
                    future = client.start("s.p", 1)
                    future.add_done_callback(callback)
                    gate.release()
                    self.assertEqual(future.result(TIMEOUT), 1)
                    self.assertEqual(client.call("s.p", 2, timeout=TIMEOUT), 2)
            finally:
                sys.excepthook = hook
                logging.disable(logging.NOTSET)
        # One that waits for another answer would wait for itself.
        ready, waited = threading.Event(), threading.Event()

        def slow(peer):
            peer.greet()
            peer.bind()
            call_id = peer.read()[1]
            ready.wait(TIMEOUT)
            peer.send(REPLY, call_id, pack([1]))
            peer.serve()

        with Fake(slow) as server, Client("127.0.0.1", server.port) as client:
            future = client.start("s.p", 1)
            future.add_done_callback(lambda done: (waits(done), waited.set()))
            ready.set()
            self.assertTrue(waited.wait(TIMEOUT))
            self.assertEqual(len(found), 1)
            self.assertIn("use start()", found[0])
            self.assertEqual(client.call("s.p", 5, timeout=TIMEOUT), 5)

    def test_a_client_may_be_closed_by_a_callback(self):
        with Fake(lambda peer: (peer.greet(), peer.serve())) as server:
            client = Client("127.0.0.1", server.port)
            closed = threading.Event()
            client.start("s.p", 1).add_done_callback(lambda _: (client.close(), closed.set()))
            self.assertTrue(closed.wait(TIMEOUT))
            self.refused("Cancelled", lambda: client.call("s.p", 1, timeout=TIMEOUT))

    def test_closing_ends_calls_in_flight_and_those_that_wait_for_their_procedure(self):
        for binds in (True, False):

            def script(peer):
                peer.greet()
                if binds:
                    peer.bind()
                while peer.read():
                    pass

            with Fake(script) as server:
                client = Client("127.0.0.1", server.port)
                calls = [client.start("s.p", number) for number in range(10)]
                threading.Timer(0.01, client.close).start()
                for call in calls:
                    self.refused("Cancelled", lambda: call.result(TIMEOUT), "the client was closed")
                client.close()  # twice does no harm
                self.refused("Cancelled", lambda: client.call("s.p", 1))

    def test_whatever_a_server_sends_nobody_waits_for_ever(self):
        calls = {
            "no map": (ERROR, pack(5)), "no exception": (ERROR, pack({"message": "m"})),
            "no list": (REPLY, pack(5)), "no value": (REPLY, b"\xc1"), "cut short": (REPLY, b"\x92\x01"),
            "no GOAWAY": (GOAWAY, pack([])), "a second HELLO": (HELLO, pack([])),
        }
        for what, (kind, payload) in calls.items():

            def script(peer):
                peer.greet()
                peer.bind()
                peer.send(kind, peer.read()[1], payload)
                while peer.read():
                    pass

            with self.subTest(what), Fake(script) as server, Client("127.0.0.1", server.port) as client:
                self.refused("ProtocolError", lambda: client.start("s.p", 1).result(TIMEOUT))

    def test_an_error_with_unknown_fields_and_an_unknown_outcome_is_an_error_all_the_same(self):
        def script(peer):
            peer.greet()
            peer.bind()
            call_id = peer.read()[1]
            fields = {"exception": "Later", "message": "m", "executed": 9, "code": 1, "more": []}
            peer.send(ERROR, call_id, pack(fields), 14)
            peer.serve()

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            error = self.refused("Later", lambda: client.call("s.p", 1, timeout=TIMEOUT))
            self.assertEqual((error.executed, error.code), ("maybe", 14))
            self.assertEqual(client.call("s.p", 2, timeout=TIMEOUT), 2)

    def test_a_server_that_never_introduces_itself_or_speaks_another_version_is_given_up(self):
        with Fake(lambda peer: peer.read()) as server:
            self.refused("Unavailable", lambda: Client("127.0.0.1", server.port, connect_timeout=0.1), "no HELLO")
        with Fake(lambda peer: (peer.greet(version=2), peer.read())) as server:
            self.refused("ProtocolError", lambda: Client("127.0.0.1", server.port), "version 2")
        with Fake(lambda peer: None) as server:
            self.refused("Unavailable", lambda: Client("127.0.0.1", server.port))

    def test_a_refused_identity_is_told_at_once(self):
        def script(peer):
            assert peer.frames.read(8) == PREFACE and peer.read()
            peer.fail(0, "Unauthenticated", "not you")

        with Fake(script) as server:
            self.refused("Unauthenticated", lambda: Client("127.0.0.1", server.port, "me"), "not you")

    def test_after_a_goaway_answers_still_come_and_new_calls_fail(self):
        def script(peer):
            peer.greet()
            peer.bind()
            first, second = peer.read()[1], peer.read()[1]
            peer.send(GOAWAY, first, pack(["shutting down", 1000]))
            peer.fail(second, "Unavailable", "the server is shutting down")
            peer.send(PING, 9)
            assert peer.read()[:2] == (PONG, 9)  # what is in flight is kept alive
            peer.send(ERROR, first, pack({"exception": "StaleBinding", "message": "m", "executed": 0}), 10)
            while peer.read():
                pass

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            first, second = client.start("s.p", 1), client.start("s.p", 2)
            self.refused("Unavailable", lambda: second.result(TIMEOUT), "shutting down")
            self.refused("Unavailable", lambda: first.result(TIMEOUT), "shutting down")
            self.refused("Unavailable", lambda: client.call("s.p", 3, timeout=TIMEOUT))

    def test_a_server_that_waits_until_its_answers_are_read_is_read(self):
        """Calls that the reader sends itself must not keep it from reading."""
        block = bytes(256 * 1024)

        def script(peer):
            peer.greet()
            time.sleep(0.05)
            peer.bind()
            for _ in range(64):
                _, call_id, payload = peer.read()
                peer.send(REPLY, call_id, payload[8:])

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            calls = [client.start("s.p", block) for _ in range(64)]
            for call in calls:
                self.assertEqual(call.result(TIMEOUT), block)

    def test_threads_share_a_client_while_procedures_change(self):
        def script(peer):
            peer.greet()
            while frame := peer.read():
                kind, call_id, payload = frame
                if kind == BIND:
                    peer.send(BOUND, call_id, pack([7, [], ["int"], False]))
                else:
                    peer.send(GENERATION, call_id)
                    peer.send(REPLY, call_id, payload[8:])

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            found = []

            def work(number):
                found.append([client.call("s.p", number * i, timeout=TIMEOUT) for i in range(50)])

            threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(TIMEOUT)
            self.assertEqual(sorted(found), [[number * i for i in range(50)] for number in range(8)])

    def test_the_time_of_a_call_begins_when_it_is_started(self):
        times = []

        def script(peer):
            peer.greet()
            time.sleep(0.3)
            peer.bind()
            times.append(int.from_bytes(peer.read()[2][4:8], "little"))
            while peer.read():
                pass

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            self.refused("DeadlineExceeded", lambda: client.call("s.p", 1, timeout=0.5))
            error = self.refused("DeadlineExceeded", lambda: client.call("s.p", 1, timeout=0))
            self.assertEqual(error.executed, "no")
        self.assertTrue(0 < times[0] < 250_000, times)

    def test_what_is_too_large_for_the_server_is_refused_here(self):
        def script(peer):
            peer.greet(frame_bytes=5000)
            peer.serve()

        with Fake(script) as server, Client("127.0.0.1", server.port) as client:
            largest = bytes(5000 - 8 - 1 - 3)
            self.assertEqual(client.call("s.p", largest, timeout=TIMEOUT), largest)
            error = self.refused("ResourceExhausted", lambda: client.call("s.p", largest + b"x"), "5001 bytes")
            self.assertEqual((error.actual, error.limit, error.executed), (5001, 5000, "no"))

    def test_a_forked_process_cannot_use_or_end_its_parents_connection(self):
        with Fake(lambda peer: (peer.greet(), peer.serve())) as server:
            with Client("127.0.0.1", server.port) as client:
                waiting = client.start("s.p", 1)
                waiting.result(TIMEOUT)
                child = os.fork()
                if child == 0:
                    code = 1
                    try:
                        client.call("s.p", 2)
                    except RPCError as error:
                        code = 0 if "forked" in error.message else 2
                    client.close()
                    os._exit(code)
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
                self.assertEqual(client.call("s.p", 3, timeout=TIMEOUT), 3)

    def test_as_a_program_its_errors_are_one_line(self):
        def program(*arguments):
            file = pathlib.Path(__file__).parent / "simplerpc.py"
            return subprocess.run([sys.executable, "-B", file, *arguments], capture_output=True, text=True, timeout=TIMEOUT)

        def script(peer):
            peer.greet()
            peer.fail(peer.read()[1], "RPCNotFound", "no such procedure\nvalid: q(int)")
            peer.read()

        with Fake(script) as server:
            free = socket.create_server(("127.0.0.1", 0))
            port = str(server.port)
            closed = str(free.getsockname()[1])
            free.close()
            for arguments, code, says in [
                (("127.0.0.1", port, "s.p"), 1, "RPCNotFound: no such procedure valid: q(int)"),
                (("127.0.0.1", closed, "s.p"), 1, "Connection refused"),
                (("127.0.0.1", "x", "s.p"), 1, "invalid literal"),
                (("127.0.0.1", port, "s.p", "{"), 2, "an argument is not JSON"),
                (("127.0.0.1",), 2, "write: simplerpc.py [--certificate PIN | --ca FILE] HOST PORT"),
            ]:
                outcome = program(*arguments)
                self.assertEqual(outcome.returncode, code, outcome)
                self.assertEqual(outcome.stderr.count("\n"), 1, outcome)
                self.assertTrue(outcome.stderr.startswith("simplerpc.py: "), outcome)
                self.assertIn(says, outcome.stderr)
                self.assertEqual(outcome.stdout, "")


if __name__ == "__main__":
    unittest.main()
