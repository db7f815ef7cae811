"""What the blocking client does with calls when things go wrong, against servers that do what each test says."""

import logging
import sys
import threading
import unittest
from concurrent.futures import CancelledError

from support import BOUND, ERROR, HELLO, REPLY, TIMEOUT, Case, Fake, pack, serving, unpack, ways

from simplerpc import Client, RPCError, Server, Topology
from simplerpc.frames import CANCEL, GOAWAY


class Calls(Case):
    def test_a_call_that_is_cancelled_is_cancelled_on_the_server_and_the_client_lives(self):
        seen, arrived = [], threading.Event()

        def script(peer):
            peer.greet()
            peer.bind()
            first = peer.call()
            arrived.set()
            seen.append(peer.read()[:2])
            peer.send(REPLY, first, pack([1]))  # too late
            peer.serve()

        with Fake(script) as server, Client(server.address) as client:
            future = client.start("s.p", 1)
            self.assertTrue(arrived.wait(TIMEOUT))
            self.assertTrue(future.cancel())
            with self.assertRaises(CancelledError):
                future.result(TIMEOUT)
            self.assertEqual(client.start("s.p", 2, timeout=TIMEOUT).result(), 2)
            self.assertEqual(seen, [(CANCEL, 2)])
            self.assertEqual(client.start("s.p", 4, timeout=TIMEOUT).result(), 4)

    def test_a_call_that_is_cancelled_before_its_procedure_is_bound_is_never_sent(self):
        go, kinds = threading.Event(), []

        def script(peer):
            peer.greet()
            _, call_id, _ = peer.read()
            go.wait(TIMEOUT)
            peer.send(BOUND, call_id, pack([7, [], ["int"], False]))
            _, call_id, _ = peer.read()
            peer.send(BOUND, call_id, pack([8, [], ["int"], False]))
            while True:
                frame = peer.read()
                if not frame:
                    return
                kinds.append(frame[2][8:])
                peer.send(REPLY, frame[1], pack([1]))

        with Fake(script) as server, Client(server.address) as client:
            self.assertTrue(client.start("s.p", 1).cancel())
            error = self.refused("DeadlineExceeded", client.start("s.p", 2, timeout=0.01).result)
            self.assertEqual(error.executed, "no")
            go.set()
            client.start("s.q", 9).result(TIMEOUT)
        self.assertEqual(kinds, [pack([9])])

    def test_a_callback_may_raise_exit_or_start_calls_and_others_get_their_answers(self):
        with Fake(serving) as server, Client(server.address) as client:
            hook, sys.excepthook = sys.excepthook, lambda *_: None
            logging.disable(logging.CRITICAL)
            try:
                started = []
                for callback in (
                    lambda _: sys.exit("from a callback"),
                    lambda _: [][1],
                    lambda _: started.append(client.start("s.q", 5)),
                ):
                    future = client.start("s.p", 1)
                    future.add_done_callback(callback)
                    self.assertEqual(future.result(TIMEOUT), 1)
                    self.assertEqual(client.start("s.p", 2).result(TIMEOUT), 2)
            finally:
                sys.excepthook = hook
                logging.disable(logging.NOTSET)
            self.assertEqual(started[0].result(TIMEOUT), 5)

    def test_a_callback_that_waits_for_another_answer_would_wait_for_itself(self):
        ready, found, waited = threading.Event(), [], threading.Event()

        def slow(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            ready.wait(TIMEOUT)
            peer.send(REPLY, call_id, pack([1]))
            peer.serve()

        with Fake(slow) as server, Client(server.address) as client:
            future = client.start("s.p", 1)

            def waits(_):
                try:
                    client.start("s.p", 2).result(TIMEOUT)
                except RuntimeError as error:
                    found.append(str(error))
                waited.set()

            future.add_done_callback(waits)
            ready.set()
            self.assertTrue(waited.wait(TIMEOUT))
            self.assertIn("use start()", found[0])
            self.assertEqual(client.start("s.p", 5, timeout=TIMEOUT).result(), 5)

    def test_a_client_may_be_closed_by_a_callback(self):
        with Fake(serving) as server:
            client = Client(server.address)
            closed = threading.Event()
            client.start("s.p", 1).add_done_callback(lambda _: (client.close(), closed.set()))
            self.assertTrue(closed.wait(TIMEOUT))
            self.refused("Cancelled", lambda: client.call("s.p", 1, timeout=TIMEOUT))
            self.refused("Cancelled", lambda: client.start("s.p", 1))

    def test_closing_ends_calls_in_flight_and_those_that_wait_for_their_procedure(self):
        for binds in (True, False):
            arrived = threading.Semaphore(0)

            def script(peer):
                peer.greet()
                if binds:
                    peer.bind()
                while peer.read():
                    arrived.release()

            with self.subTest(binds=binds), Fake(script) as server:
                client = Client(server.address)
                calls = [client.start("s.p", number) for number in range(10)]
                blocked = []

                def block():
                    try:
                        client.call("s.p", 1)
                    except RPCError as error:
                        blocked.append(error)

                threads = [threading.Thread(target=block) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for _ in range(13 if binds else 4):
                    self.assertTrue(arrived.acquire(timeout=TIMEOUT))
                client.close()
                for call in calls:
                    error = self.refused("Cancelled", lambda: call.result(TIMEOUT), "the client was closed")
                    self.assertEqual(error.executed, "maybe" if binds else "no")
                for thread in threads:
                    thread.join(TIMEOUT)
                self.assertEqual([error.exception for error in blocked], ["Cancelled"] * 3)
                client.close()  # twice does no harm
                self.refused("Cancelled", lambda: client.call("s.p", 1))

    def test_whatever_a_server_sends_nobody_waits_for_ever(self):
        for what, (kind, payload) in {
            "no map": (ERROR, pack(5)), "no exception": (ERROR, pack({"message": "m"})), "no list": (REPLY, pack(5)),
            "no value": (REPLY, b"\xc1"), "cut short": (REPLY, b"\x92\x01"), "no GOAWAY": (GOAWAY, pack([])),
            "a second HELLO": (HELLO, pack([])), "an unknown kind": (99, b""),
        }.items():  # fmt: skip

            def script(peer):
                peer.greet()
                peer.bind()
                peer.send(kind, peer.call(), payload)
                peer.wait()

            with Fake(script) as server, Client(server.address) as client:
                for way, call in ways(client).items():
                    with self.subTest(what, way=way):
                        self.refused("ProtocolError", lambda: call("s.p", 1, timeout=TIMEOUT))

    def test_an_error_with_unknown_fields_and_an_unknown_outcome_is_an_error_all_the_same(self):
        def script(peer):
            peer.greet()
            peer.bind()
            peer.fail(peer.call(), "Later", "m", executed=9, more=[])
            peer.serve()

        with Fake(script) as server, Client(server.address) as client:
            error = self.refused("Later", lambda: client.call("s.p", 1, timeout=TIMEOUT))
            self.assertEqual((error.executed, error.status, type(error).__name__), ("maybe", 14, "ExecutionException"))
            self.assertEqual(client.call("s.p", 2, timeout=TIMEOUT), 2)

    def test_a_server_that_never_introduces_itself_or_speaks_another_version_is_given_up(self):
        with Fake(lambda peer: peer.wait()) as server, Client(server.address, connect_timeout=0.1, retry=1) as client:
            for call in ways(client).values():
                error = self.refused("Unavailable", lambda: call("s.p", 1), "no HELLO from server 127.0.0.1")
                self.assertEqual(error.executed, "no")
        with Fake(lambda peer: (peer.greet(version=2), peer.wait())) as server, Client(server.address) as client:
            for call in ways(client).values():
                self.refused("ProtocolError", lambda: call("s.p", 1), "version 2")
        with Fake(lambda peer: None) as server, Client(server.address) as client:
            for call in ways(client).values():
                self.refused("Unavailable", lambda: call("s.p", 1))

    def test_a_refused_identity_is_told_at_once(self):
        def script(peer):
            peer.expect_preface()
            _, _, hello = peer.read()
            assert unpack(hello)["identity"] == "me"
            peer.fail(0, "Unauthenticated", "not you", status=16)
            peer.wait()

        with Fake(script) as server, Client(server.address, identity="me") as client:
            for call in ways(client).values():
                self.refused("Unauthenticated", lambda: call("s.p", 1), "not you")

    def test_what_is_too_large_or_has_no_form_is_refused_here(self):
        def script(peer):
            peer.greet(frame_bytes=5000)
            peer.serve()

        with Fake(script) as server, Client(server.address) as client:
            largest = bytes(5000 - 8 - 1 - 3)
            for call in ways(client).values():
                self.assertEqual(call("s.p", largest, timeout=TIMEOUT), largest)
                error = self.refused("ResourceExhausted", lambda: call("s.p", largest + b"x"), "5001 bytes")
                self.assertEqual((error.actual, error.limit, error.executed), (5001, 5000, "no"))
                for arguments, says in [
                    ((1, object()), "argument 2 of s.p: a object cannot travel"),
                    ((1 << 63,), "argument 1 of s.p: an int of 64 bits"), (({1: 2},), "must be str"),
                    (("\ud800",), "surrogates"), ((0,) * 65, "65 types, the limit is 64"),
                ]:  # fmt: skip
                    self.refused("InvalidArguments", lambda: call("s.p", *arguments), says)
                self.refused("InvalidArguments", lambda: call("p"), "write SERVICE.PROCEDURE")
                self.refused("InvalidArguments", lambda: call("s." + "p" * 129), "129 bytes")
                self.refused("InvalidArguments", lambda: call("s.p", metadata={"a": "x" * 9000}), "the limit is 8192")

    def test_metadata_and_repetition_and_typed_names_reach_the_server(self):
        def script(peer):
            peer.greet()
            kind, call_id, payload = peer.read()
            assert unpack(payload) == ["a.b", "p", ["float"], ["str"]], payload
            peer.send(BOUND, call_id, pack([7, [], ["str"], False]))
            kind, call_id, payload = peer.read()
            assert peer.flags == 1 and payload[8:] == pack({"tenant": "blue"}) + pack([1]), payload
            peer.send(REPLY, call_id, pack(["x"]))
            peer.wait()

        with Fake(script) as server, Client(server.address) as client:
            for call in ways(client).values():
                self.assertEqual(call("a.b.p", 1, types=["float"], returns=["str"], metadata={"tenant": "blue"}), "x")


class Names(Case):
    def test_services_are_objects_with_procedures_as_methods(self):
        with Fake(serving) as server, Client(server.address) as client:
            math = client.service("s", timeout=TIMEOUT)
            self.assertEqual((math.add(1), math["a-b"]("x"), math.add(2, timeout=1)), (1, "x", 2))
            self.assertEqual(repr(math), "<service s>")
            self.assertRaises(AttributeError, lambda: math.__wrapped__)

    def test_addresses_are_read_and_refused_with_a_reason(self):
        for text, host, port in [("a.example:1", "a.example", 1), ("[::1]:65535", "::1", 65535), ("127.0.0.1:80", "127.0.0.1", 80)]:
            server = Server.parse(text)
            self.assertEqual((server.host, server.port, server.name, server.address), (host, port, text, text))
        self.assertEqual(Topology.of("::1", 80).servers[0].address, "[::1]:80")
        for text in ("", "a", "a:", ":1", "a:b", "::1:80", "a:0", "a:65536", "a:٣"):
            self.assertRaises(ValueError, Server.parse, text)
        for arguments in [([],), (["a:1", "a:1"],), ("a", "x"), (Topology.of("a:1"), 1)]:
            self.assertRaises(ValueError, Client, *arguments)
        self.assertRaises(ValueError, Client, "a:1", pin="sha256//x")
        self.assertRaises(ValueError, Client, "a:1", connect_timeout=0)


if __name__ == "__main__":
    unittest.main()
