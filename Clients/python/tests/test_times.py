"""Deadlines, and servers that do not answer."""

import threading
import time
import unittest

from support import BOUND, PING, PONG, REPLY, TIMEOUT, Case, Fake, free_port, pack, serving, two, ways

from simplerpc import Client, DeadlineExceeded, RetryPolicy, RPCError, Unavailable
from simplerpc.frames import CANCEL


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
                # Whether the last pause or the time itself was the end.
                with self.assertRaises((Unavailable, DeadlineExceeded)) as caught:
                    call("s.p", 1, timeout=0.5)
                error = caught.exception
                self.assertIn("connection refused", error.message)
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


if __name__ == "__main__":
    unittest.main()
