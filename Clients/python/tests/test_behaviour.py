"""What the blocking client does when things go wrong, against servers that do what each test says."""

import gc
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import unittest
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout

from support import (
    BIND,
    BOUND,
    CALL,
    ERROR,
    HEADER,
    HELLO,
    PING,
    PONG,
    REPLY,
    TIMEOUT,
    Case,
    Fake,
    fork,
    free_port,
    pack,
    unpack,
)  # fmt: skip

from simplerpc import NO_RETRY, Client, RetryPolicy, RPCError, Server, Topology
from simplerpc.frames import CANCEL, GENERATION, GOAWAY


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


class Times(Case):
    def test_the_time_of_a_call_begins_when_it_is_made(self):
        times = []

        def script(peer):
            peer.greet()
            peer.read()
            # Nobody is in a hurry here: the time goes by.
            threading.Event().wait(0.3)
            peer.send(BOUND, 1, pack([7, [], ["int"], False]))
            times.append(int.from_bytes(peer.read()[2][4:8], "little"))
            peer.wait()

        with Fake(script) as server, Client(server.address) as client:
            for call in ways(client).values():
                error = self.refused("DeadlineExceeded", lambda: call("s.p", 1, timeout=0.6), "no answer within 0.6 s")
                self.assertEqual(error.executed, "maybe")
                error = self.refused("DeadlineExceeded", lambda: call("s.p", 1, timeout=0))
                self.assertEqual(error.executed, "no")
        self.assertTrue(len(times) == 2 and all(0 < each < 350_000 for each in times), times)

    def test_a_time_that_is_over_says_why_nothing_came(self):
        with Client(f"127.0.0.1:{free_port()}", retry=RetryPolicy(16)) as client:
            for call in ways(client).values():
                error = self.refused("Unavailable", lambda: call("s.p", 1, timeout=0.5), "connection refused")
                self.assertEqual((error.executed, error.server), ("no", client.topology.servers[0].name))

    def test_a_deadline_that_passed_leaves_the_connection_good(self):
        seen = []

        def script(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            seen.append(peer.read()[:2])
            peer.send(REPLY, call_id, pack([1]))
            peer.serve()

        with Fake(script) as server, Client(server.address) as client:
            for call in ways(client).values():
                self.refused("DeadlineExceeded", lambda: call("s.p", 1, timeout=0.1))
                self.assertEqual(call("s.p", 2, timeout=TIMEOUT), 2)
            self.assertEqual(seen, [(CANCEL, 2)] * 2)
            self.assertEqual(server.count, 2)

    def test_a_server_that_stops_answering_is_noticed_and_set_aside(self):
        def silent(peer):
            peer.greet()
            peer.bind()
            peer.call()
            peer.wait()

        with Fake(silent) as server, Client(server.address, keepalive=0.2) as client:
            for call in ways(client).values():
                began = time.monotonic()
                error = self.refused("Unavailable", lambda: call("s.p", 1), "has stopped answering: no PONG within 0.2 s")
                self.assertEqual(error.executed, "maybe")
                self.assertTrue(0.4 <= time.monotonic() - began < 5)
        with Fake(silent) as first, Fake(serving) as second, Client(two(first, second), keepalive=0.2) as client:
            outcomes = set()
            for number in range(40):
                try:
                    outcomes.add(client.call("s.p", number) == number)
                except RPCError as error:
                    outcomes.add(error.executed)
            self.assertLessEqual(outcomes, {True, "maybe"})
            self.assertIn(True, outcomes)
            self.assertLessEqual(first.count, 6)

    def test_a_server_that_answers_its_pings_may_take_its_time(self):
        def slow(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            for _ in range(3):
                kind, ping, _ = peer.read()
                assert kind == PING, kind
                peer.send(PONG, ping)
            peer.send(REPLY, call_id, pack([5]))
            peer.wait()

        with Fake(slow) as server, Client(server.address, keepalive=0.1) as client:
            for call in ways(client).values():
                self.assertEqual(call("s.p", 1), 5)


class Servers(Case):
    def test_after_a_goaway_answers_still_come_and_new_calls_go_elsewhere(self):
        def leaving(peer):
            peer.greet()
            peer.bind()
            first, second = peer.call(), peer.call()
            peer.send(GOAWAY, first, pack(["shutting down", 1000]))
            peer.fail(second, "Unavailable", "the server is shutting down")
            peer.send(PING, 9)
            assert peer.read()[:2] == (PONG, 9)  # what is in flight is kept alive
            peer.send(REPLY, first, pack([10]))
            assert peer.read() is None

        def staying(peer):
            peer.greet()
            peer.serve(20)

        with Fake(leaving, staying) as server, Client(server.address) as client:
            first, second = client.start("s.p", 1), client.start("s.p", 2)
            self.assertEqual((first.result(TIMEOUT), second.result(TIMEOUT)), (10, 20))
            self.assertEqual(client.start("s.p", 3).result(TIMEOUT), 20)
            self.assertEqual(server.count, 2)

    def test_a_stale_id_on_a_connection_that_drains_goes_elsewhere_too(self):
        def leaving(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            peer.send(GOAWAY, call_id, pack(["shutting down", 1000]))
            peer.fail(call_id, "StaleBinding", "m", status=10)
            peer.wait()

        with Fake(leaving, lambda peer: (peer.greet(), peer.serve(20))) as server, Client(server.address) as client:
            self.assertEqual(client.call("s.p", 1, timeout=TIMEOUT), 20)

    def test_a_connection_that_ended_while_nobody_used_it_is_not_used_again(self):
        def once(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            peer.send(REPLY, call_id, pack([1]))
            peer.send(GOAWAY, call_id, pack(["idle", 0]))

        with Fake(once) as server, Client(server.address, retry=NO_RETRY) as client:
            for number in range(20):
                self.assertEqual(client.call("s.p", number), 1)
                for pooled in client._pools[server.address]._idle:
                    pooled.socket.recv(1, socket.MSG_PEEK)  # until the GOAWAY is there
            self.assertEqual(server.count, 20)

    def test_a_call_that_cannot_have_run_moves_to_another_provider(self):
        closed = free_port()
        with Fake(serving) as server, Client(two(closed, server), retry=NO_RETRY) as client:
            for call in ways(client).values():
                self.assertEqual([call("s.p", number) for number in range(20)], list(range(20)))
        with Fake(lambda peer: peer.wait()) as mute, Fake(serving) as server, Client(two(mute, server), retry=NO_RETRY) as client:
            for call in ways(client).values():
                began = time.monotonic()
                self.assertEqual([call("s.p", number) for number in range(5)], list(range(5)))
                self.assertLess(time.monotonic() - began, 3)

    def test_a_call_that_may_have_run_is_repeated_only_where_that_is_allowed(self):
        for idempotent, policy, repeated in [
            (True, RetryPolicy(repeat_idempotent=True), True), (True, RetryPolicy(), False),
            (False, RetryPolicy(repeat_idempotent=True), False),
        ]:  # fmt: skip
            flags = []

            def dies(peer):
                peer.greet()
                peer.bind(idempotent)
                peer.call()

            def answers(peer):
                peer.greet()
                peer.bind(idempotent)
                call_id = peer.call()
                flags.append(peer.flags)
                peer.send(REPLY, call_id, pack([3]))
                peer.wait()

            for way in ("call", "start"):
                with self.subTest(idempotent=idempotent, policy=policy, way=way), Fake(dies, answers) as server:
                    with Client(server.address, retry=policy) as client:
                        call = ways(client)[way]
                        if repeated:
                            self.assertEqual(call("s.p", 1), 3)
                            self.assertEqual(flags.pop(), 4)
                        else:
                            error = self.refused("Unavailable", lambda: call("s.p", 1), "connection closed by")
                            self.assertEqual(error.executed, "maybe")
                            self.assertEqual(server.count, 1)

    def test_an_exhausted_server_is_asked_again_when_it_said(self):
        def script(peer):
            peer.greet()
            peer.bind()
            peer.fail(peer.call(), "ResourceExhausted", "busy", status=8, retry_after_ms=50)
            peer.serve()

        for way in ("call", "start"):
            with Fake(script) as server, Client(server.address) as client:
                began = time.monotonic()
                self.assertEqual(ways(client)[way]("s.p", 7), 7)
                self.assertGreaterEqual(time.monotonic() - began, 0.05)

    def test_a_named_server_is_called_and_no_other(self):
        with Fake(lambda peer: (peer.greet(), peer.serve(1))) as first, Fake(lambda peer: (peer.greet(), peer.serve(2))) as second:
            with Client(two(first, second)) as client:
                for call in ways(client).values():
                    self.assertEqual([call("s.p", 0, server=name) for name in "abab"], [1, 2, 1, 2])
                    self.assertEqual({call("s.p", 0) for _ in range(60)}, {1, 2})
                    self.refused("ServiceNotFound", lambda: call("s.p", server="c"), "there is no server 'c'; there are: a, b")
                    self.refused("ServiceNotFound", lambda: call("t.p"), "there are: s")

    def test_servers_tell_what_they_provide_and_are_asked_again_when_that_changes(self):
        moved = threading.Event()
        connections = []

        def server_of(name):
            def script(peer):
                peer.greet()
                connections.append((name, peer))
                while True:
                    frame = peer.read()
                    if not frame:
                        return
                    kind, call_id, payload = frame
                    if kind == BIND:
                        asked = unpack(payload)[:2]
                        peer.send(BOUND, call_id, pack([1 if asked == ["system", "catalogue"] else 2, [], ["Any"], False]))
                    elif kind == CALL and payload[0] == 1:
                        services = {"one": ["x"], "two": ["y"]} if not moved.is_set() else {"one": ["y"], "two": ["x", "y"]}
                        peer.send(REPLY, call_id, pack([{"server": name, "services": [{"name": each} for each in services[name]]}]))
                    elif kind == CALL:
                        peer.send(REPLY, call_id, pack([name]))

            return script

        with Fake(server_of("one")) as first, Fake(server_of("two")) as second:
            with Client([first.address, second.address]) as client:
                for call in ways(client).values():
                    self.assertEqual({call("x.p") for _ in range(20)}, {"one"})
                    self.assertEqual({call("y.p") for _ in range(20)}, {"two"})
                    self.refused("ServiceNotFound", lambda: call("z.p"), "there are: x, y")
                moved.set()
                for _, peer in list(connections):
                    peer.send(GENERATION, 2)
                deadline = time.monotonic() + TIMEOUT
                while client.topology.services.get("y") != (first.address, second.address):
                    self.assertEqual(client.call("y.p") in ("one", "two"), True)
                    self.assertLess(time.monotonic(), deadline)
                self.assertEqual({client.call("x.p") for _ in range(20)}, {"two"})

    def test_a_changed_network_is_taken_into_use_and_calls_in_flight_end_where_they_began(self):
        go, arrived = threading.Event(), threading.Semaphore(0)

        def old(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            arrived.release()
            go.wait(TIMEOUT)
            peer.send(REPLY, call_id, pack([1]))
            assert peer.read() is None

        with Fake(old) as first, Fake(lambda peer: (peer.greet(), peer.serve(2))) as second:
            with Client(Topology((Server("a", "127.0.0.1", first.port),), {"s": ("a",)})) as client:
                results = []
                thread = threading.Thread(target=lambda: results.append(client.call("s.p", 1)))
                thread.start()
                started = client.start("s.p", 1)
                for _ in range(2):
                    self.assertTrue(arrived.acquire(timeout=TIMEOUT))
                client.update_topology(Topology((Server("a", "127.0.0.1", second.port),), {"s": ("a",)}))
                for call in ways(client).values():
                    self.assertEqual(call("s.p", 1), 2)
                go.set()
                thread.join(TIMEOUT)
                self.assertEqual((results, started.result(TIMEOUT)), ([1], 1))


class Threads(Case):
    def test_threads_share_a_client_while_procedures_change(self):
        def script(peer):
            peer.greet()
            chance = random.Random(2)
            while True:
                frame = peer.read()
                if not frame:
                    return
                kind, call_id, payload = frame
                if kind == BIND:
                    peer.send(BOUND, call_id, pack([call_id, [], ["int"], False]))
                elif kind == CALL and chance.random() < 0.1:
                    peer.fail(call_id, "StaleBinding", "m", status=10)
                elif kind == CALL:
                    peer.send(GENERATION, call_id)
                    peer.send(REPLY, call_id, payload[8:])

        for pool in (0, 2, 8):
            with self.subTest(pool=pool), Fake(script) as server, Client(server.address, pool=pool) as client:
                found = []

                def work(number):
                    found.append([client.call("s.p", number * i, timeout=TIMEOUT) for i in range(50)])

                threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(TIMEOUT)
                self.assertEqual(sorted(found), [[number * i for i in range(50)] for number in range(8)])
                # As many connections as may be, and the shared one.
                self.assertLessEqual(server.count, pool + 1)

    def test_a_server_that_waits_until_its_answers_are_read_is_read(self):
        block = bytes(256 * 1024)

        def script(peer):
            peer.greet()
            peer.bind()
            for _ in range(64):
                _, call_id, payload = peer.read()
                peer.send(REPLY, call_id, payload[8:])
            peer.wait()

        with Fake(script) as server, Client(server.address) as client:
            calls = [client.start("s.p", block) for _ in range(64)]
            for call in calls:
                self.assertEqual(call.result(TIMEOUT), block)

    def test_a_large_call_to_a_server_that_does_not_read_ends_with_its_time(self):
        def script(peer):
            peer.greet()
            peer.bind()
            stop.wait(TIMEOUT)

        stop = threading.Event()
        with Fake(script) as server, Client(server.address) as client:
            for call in ways(client).values():
                self.refused("DeadlineExceeded", lambda: call("s.p", bytes(15_000_000), timeout=0.3))
            stop.set()

    def test_a_forked_process_has_connections_of_its_own_and_ends_none_of_its_parents(self):
        with Fake(serving) as server, Client(server.address) as client:
            self.assertEqual((client.call("s.p", 1), client.start("s.p", 2).result(TIMEOUT)), (1, 2))
            child = fork()
            if child == 0:
                code = 1
                try:
                    fine = client.call("s.p", 5, timeout=TIMEOUT) == 5 and client.start("s.p", 6, timeout=TIMEOUT).result() == 6
                    code = 0 if fine else 2
                    client.close()
                finally:
                    os._exit(code)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            self.assertEqual(server.count, 4)
            self.assertEqual((client.call("s.p", 3), client.start("s.p", 4).result(TIMEOUT)), (3, 4))
            self.assertEqual(server.count, 4)

    def test_a_call_that_was_started_before_a_fork_is_the_parents(self):
        go = threading.Event()

        def script(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            go.wait(TIMEOUT)
            peer.send(REPLY, call_id, pack([1]))
            peer.wait()

        with Fake(script) as server, Client(server.address) as client:
            future = client.start("s.p", 1)
            child = fork()
            if child == 0:
                try:
                    future.result(TIMEOUT)
                    os._exit(1)
                except RPCError as error:
                    os._exit(0 if "forked" in error.message else 2)
                finally:
                    os._exit(3)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            with self.assertRaises(FutureTimeout):
                future.result(0.01)
            go.set()
            self.assertEqual(future.result(TIMEOUT), 1)

    def test_control_c_ends_the_call_that_it_interrupts_on_the_server_too(self):
        ended = threading.Event()

        def script(peer):
            peer.greet()
            peer.bind()
            peer.call()
            os.kill(os.getpid(), signal.SIGINT)
            peer.wait()
            ended.set()

        def after(peer):
            peer.greet()
            peer.serve()

        # Who runs the tests in the background has it ignored.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        with Fake(script, after) as server, Client(server.address) as client:
            with self.assertRaises(KeyboardInterrupt):
                client.call("s.p", 1)
            self.assertTrue(ended.wait(TIMEOUT))
            self.assertEqual(client.call("s.p", 2), 2)

    def test_a_client_that_is_dropped_leaves_no_connection(self):
        ended = threading.Semaphore(0)
        with Fake(lambda peer: (serving(peer), ended.release())) as server:
            client = Client(server.address)
            client.call("s.p", 1)
            client.start("s.p", 1).result(TIMEOUT)
            del client
            gc.collect()
            for _ in range(2):
                self.assertTrue(ended.acquire(timeout=TIMEOUT))


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


assert HEADER
if __name__ == "__main__":
    unittest.main()
