"""Which server a call goes to, and where it goes when that one cannot take it."""

import socket
import threading
import time
import unittest

from support import BIND, BOUND, CALL, PING, PONG, REPLY, TIMEOUT, Case, Fake, free_port, pack, serving, two, unpack, ways

from simplerpc import NO_RETRY, Client, RetryPolicy, Server, Topology
from simplerpc.frames import GENERATION, GOAWAY


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
            if says:
                peer.send(GOAWAY, call_id, pack(["idle", 0]))

        for says in (True, False):
            with self.subTest(says=says), Fake(once) as server, Client(server.address, retry=NO_RETRY) as client:
                for number in range(20):
                    self.assertEqual(client.call("s.p", number), 1)
                    for pooled in client._pools[server.address]._idle:
                        pooled.socket.recv(1, socket.MSG_PEEK)  # until the GOAWAY, or the end, is there
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


if __name__ == "__main__":
    unittest.main()
