"""The state of a connection: bytes in, events out, without a socket."""

import random
import unittest

import support
from support import PREFACE, pack, unpack

from simplerpc.errors import RPCError
from simplerpc.events import Answered, Draining, Ended, Failed, Generation, Pong, Ready
from simplerpc.frames import (
    BIND,
    BOUND,
    CALL,
    CANCEL,
    ERROR,
    FRAME_BYTES,
    GENERATION,
    GOAWAY,
    HEADER,
    HELLO,
    PING,
    PONG,
    PROOF,
    REBINDS_MAX,
    REPLY,
)  # fmt: skip
from simplerpc.options import Options
from simplerpc.protocol import Connection
from simplerpc.request import Request
from simplerpc.topology import Server
from simplerpc.values import pack_arguments

SERVER = Server.parse("127.0.0.1:8181")


def frame(kind, call_id, payload=b"", status=0):
    return HEADER.pack(len(payload), kind, 0, status, call_id) + payload


def hello(**fields):
    return frame(HELLO, 0, pack({"version": 1, "agent": "fake", **fields}))


def error(call_id, name, executed=0, status=14, **fields):
    return frame(ERROR, call_id, pack({"exception": name, "message": "m", "executed": executed, **fields}), status)


def bound(call_id, number=7, idempotent=False):
    return frame(BOUND, call_id, pack([number, [], ["int"], idempotent]))


def request(name="p", *arguments, deadline=None, metadata=b""):
    return Request(("s", name, ("int",) * len(arguments), None), pack_arguments(arguments), metadata, deadline)


def frames(data):
    """Kind, flags, call id and payload of each."""
    found = []
    while data:
        length, kind, flags, _, call_id = HEADER.unpack_from(data)
        found.append((kind, flags, call_id, data[HEADER.size : HEADER.size + length]))
        data = data[HEADER.size + length :]
    return found


def made(ready=True, options=None, **fields):
    connection = Connection(SERVER, options or Options())
    connection.start(100.0)
    data = connection.output()
    assert data.startswith(PREFACE)
    if ready:
        events = connection.receive(hello(**fields), 100.1)
        assert [type(each) for each in events] == [Ready]
    return connection


def kinds(events):
    return [type(each) for each in events]


class Sending(unittest.TestCase):
    def test_the_hello_says_who_the_client_is_and_what_it_takes(self):
        connection = Connection(SERVER, Options("me", frame_bytes=5000, keepalive=0.25))
        connection.start(1.0)
        data = connection.output()
        self.assertEqual(data[:8], PREFACE)
        [(kind, flags, call_id, payload)] = frames(data[8:])
        fields = unpack(payload)
        self.assertEqual((kind, flags, call_id), (HELLO, 0, 0))
        self.assertTrue(fields.pop("agent").startswith("simplerpc-python/"))
        self.assertEqual(fields, {"version": 1, "identity": "me", "frame_bytes": 5000, "keepalive_ms": 250})

    def test_calls_may_follow_the_hello_at_once_and_share_a_bind(self):
        connection = Connection(SERVER, Options())
        connection.start(1.0)
        first, second = request("p", 1), request("p", 2)
        connection.call(first, 1.0)
        connection.call(second, 1.0)
        sent = frames(connection.output()[8:])
        self.assertEqual([(kind, id) for kind, _, id, _ in sent], [(HELLO, 0), (BIND, 1)])
        self.assertEqual(unpack(sent[1][3]), ["s", "p", ["int"], None])
        events = connection.receive(hello() + bound(1, 9, True), 1.1)
        self.assertEqual(kinds(events), [Ready])
        sent = frames(connection.output())
        self.assertEqual([(kind, id, payload) for kind, _, id, payload in sent], [
            (CALL, 2, b"\x09\0\0\0\0\0\0\0\x91\x01"), (CALL, 3, b"\x09\0\0\0\0\0\0\0\x91\x02"),
        ])  # fmt: skip
        self.assertTrue(first.idempotent)
        events = connection.receive(frame(REPLY, 3, b"\x91\x05") + frame(REPLY, 2, b"\x90"), 1.2)
        self.assertEqual([(each.request, each.values) for each in events], [(second, (5,)), (first, ())])

    def test_times_metadata_and_repetitions_are_said(self):
        connection = made()
        connection.call(request("p", 1), 100.1)
        connection.receive(bound(1), 100.1)
        connection.output()
        for call, flags, head in [
            (request("p", 1, deadline=100.35), 0, (250_000).to_bytes(4, "little")),
            (request("p", 1, deadline=100.1 + 1e-9), 0, (1).to_bytes(4, "little")),
            (request("p", 1, deadline=100.1 + 86400), 0, b"\xff" * 4),
            (request("p", 1, metadata=pack({"a": 1})), 1, b"\0\0\0\0\x81\xa1a\x01"),
        ]:
            connection.call(call, 100.1)
            [(kind, found, _, payload)] = frames(connection.output())
            self.assertEqual((kind, found, payload), (CALL, flags, b"\x07\0\0\0" + head + b"\x91\x01"))
        again = request("p", 1)
        again.repeated = True
        connection.call(again, 100.1)
        self.assertEqual(frames(connection.output())[0][1], 4)
        late = request("p", 1, deadline=100.0)
        connection.call(late, 100.1)
        self.assertEqual(connection.output(), b"")
        [event] = connection.take_events()
        self.assertEqual((event.error.exception, event.error.executed), ("DeadlineExceeded", "no"))

    def test_what_is_beyond_the_servers_limits_is_not_sent(self):
        connection = made(frame_bytes=5000, calls_in_flight=2)
        calls = [request("p", n) for n in range(4)]
        for call in calls:
            connection.call(call, 100.1)
        connection.receive(bound(1), 100.1)
        self.assertEqual([id for kind, _, id, _ in frames(connection.output()) if kind == CALL], [2, 3])
        connection.receive(frame(REPLY, 2, b"\x90"), 100.2)
        self.assertEqual([id for _, _, id, _ in frames(connection.output())], [4])
        connection.receive(frame(REPLY, 3, b"\x90") + frame(REPLY, 4, b"\x90"), 100.2)
        connection.receive(frame(REPLY, 5, b"\x90"), 100.2)
        for size, fits in [(5000 - 8 - 1 - 3, True), (5000 - 8 - 1 - 2, False)]:
            connection.output()
            call = Request(calls[0].binding, pack_arguments([bytes(size)]))
            connection.call(call, 100.3)
            self.assertEqual(bool(connection.output()), fits)
            events = connection.take_events()
            if not fits:
                failure = events[0].error
                self.assertEqual((failure.exception, failure.actual, failure.limit, failure.unit), ("ResourceExhausted", 5001, 5000, "bytes"))
            else:
                self.assertEqual(events, [])
                connection.receive(frame(REPLY, 6, b"\x90"), 100.4)

    def test_a_call_that_is_given_up_leaves_nothing_behind(self):
        connection = made(calls_in_flight=3)
        sent, waiting, queued = request("p", 1), request("q", 1), request("q", 2)
        connection.call(sent, 100.1)
        connection.receive(bound(1), 100.1)
        connection.call(waiting, 100.1)
        connection.call(request("p", 3), 100.1)
        connection.call(queued, 100.1)
        connection.output()
        self.assertEqual([connection.cancel(each) for each in (queued, waiting, sent)], [False, False, True])
        self.assertEqual(frames(connection.output()), [(CANCEL, 0, 2, b"")])
        # The BIND is answered for nobody, and the cancelled call too late.
        self.assertEqual(connection.receive(bound(3) + frame(REPLY, 2, b"\x91\x01"), 100.2), [])
        self.assertEqual(connection.load, 1)
        self.assertFalse(connection.cancel(queued))


class Receiving(unittest.TestCase):
    def conversation(self):
        """Everything that a server may say, with what it means."""
        connection = made(False)
        for number in range(3):
            connection.call(request("p", number), 100.0)
        connection.call(request("q", 0), 100.0)
        connection.ping("token", 100.0)
        data = (
            hello(generation=3) + bound(1) + error(2, "RPCNotFound", status=5) + frame(PING, 77) + frame(PONG, 3)
            + frame(GENERATION, 9) + frame(REPLY, 4, b"\x92\x01\xa1x") + error(5, "ExecutionException", 2, 2, source="f.py:3")
            + error(6, "Later", 9, 11) + frame(GOAWAY, 6, pack(["bye", 5]))
        )  # fmt: skip
        return connection, data

    def outcome(self, pieces):
        connection, _ = self.conversation()
        events = []
        for piece in pieces:
            events += connection.receive(piece, 100.5)
            events += connection.take_events()
        shown = []
        for each in events:
            if isinstance(each, Answered):
                shown.append(("answered", each.values))
            elif isinstance(each, Failed):
                fault = each.error
                shown.append(("failed", fault.exception, fault.executed, fault.status, fault.source, each.never_began))
            else:
                shown.append(type(each).__name__)
        return shown, connection.output(), connection.is_drained

    def test_frames_mean_the_same_however_their_bytes_are_cut(self):
        _, data = self.conversation()
        whole = self.outcome([data])
        self.assertEqual(whole[0], [
            "Ready", ("failed", "RPCNotFound", "no", 5, None, False), "Pong", "Generation", ("answered", (1, "x")),
            ("failed", "ExecutionException", "yes", 2, "f.py:3", False), ("failed", "Later", "maybe", 11, None, False), "Draining",
        ])  # fmt: skip
        self.assertTrue(whole[2])
        self.assertEqual(self.outcome([data[at : at + 1] for at in range(len(data))]), whole)
        chance = random.Random(3)
        for _ in range(200):
            cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(12)))
            pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
            self.assertEqual(self.outcome([piece for piece in pieces if piece]), whole)

    def test_random_steps_agree_with_a_model(self):
        """Calls, answers in any order, cancellations, stale ids and a GOAWAY: each call is told of once, and rightly."""
        for seed in range(150):
            chance = random.Random(seed)
            connection = made(calls_in_flight=chance.choice([1, 3, 100]))
            server_binds, server_calls = {}, {}  # what the server has read and not answered
            told, wanted, given_up = {}, {}, set()
            line = None
            for step in range(120):
                action = chance.randrange(7)
                if action <= 1:
                    call = request(chance.choice("pqr"), step)
                    connection.call(call, 100.2)
                    wanted.setdefault(call, None)
                elif action == 2 and wanted:
                    call = chance.choice(list(wanted))
                    if call not in told and call not in given_up:
                        connection.cancel(call)
                        given_up.add(call)
                for kind, _, id, payload in frames(connection.output()):
                    if kind == BIND:
                        server_binds[id] = unpack(payload)
                    elif kind == CALL:
                        server_calls[id] = unpack(payload[8:])
                data = b""
                if action == 3 and server_binds:
                    id = chance.choice(list(server_binds))
                    server_binds.pop(id)
                    data = bound(id, id)
                elif action == 4 and server_calls:
                    id = chance.choice(list(server_calls))
                    data = frame(REPLY, id, pack(server_calls.pop(id)))
                elif action == 5 and server_calls:
                    id = chance.choice(list(server_calls))
                    server_calls.pop(id)
                    data = error(id, chance.choice(["StaleBinding", "ExecutionException"]), 0, 10)
                elif action == 6:
                    data = frame(GENERATION, step)
                if step == 100 and seed % 2:
                    line = max(server_calls, default=0)
                    data += frame(GOAWAY, line, pack(["", 1]))
                events = (connection.receive(data, 100.3) if data else []) + connection.take_events()
                for event in events:
                    if isinstance(event, (Answered, Failed)):
                        self.assertNotIn(event.request, told)
                        self.assertNotIn(event.request, given_up)
                        told[event.request] = event
                        if isinstance(event, Answered):
                            self.assertEqual(pack_arguments(event.values), event.request.body)
            self.assertEqual(connection.is_draining, line is not None)
            for event in connection.end_of_input():
                if isinstance(event, (Answered, Failed)):
                    self.assertNotIn(event.request, told)
                    self.assertNotIn(event.request, given_up)
                    told[event.request] = event
            self.assertEqual(set(told), set(wanted) - given_up)

    def test_at_the_end_sent_calls_may_have_run_and_others_have_not(self):
        connection = made()
        sent, waiting = request("p", 1), request("q", 1)
        connection.call(sent, 100.1)
        connection.receive(bound(1), 100.1)
        connection.call(waiting, 100.1)
        connection.output()
        first, second, last = connection.end_of_input()
        self.assertEqual((first.request, first.error.executed, first.never_began), (sent, "maybe", False))
        self.assertEqual((second.request, second.error.executed, second.never_began), (waiting, "no", True))
        self.assertIsInstance(last, Ended)
        self.assertIn("connection closed by server 127.0.0.1:8181", last.error.message)
        connection.call(request("p", 2), 100.2)
        [event] = connection.take_events()
        self.assertTrue(event.never_began)

    def test_calls_above_the_line_of_a_goaway_go_elsewhere_and_the_others_are_answered(self):
        connection = made()
        calls = [request("p", number) for number in range(3)]
        for call in calls:
            connection.call(call, 100.1)
        connection.receive(bound(1), 100.1)
        events = connection.receive(frame(GOAWAY, 3, pack(["shutting down", 1000])), 100.2)
        self.assertEqual(kinds(events), [Failed, Draining])
        self.assertEqual((events[0].request, events[0].never_began), (calls[2], True))
        # What crossed it on the way is refused: nobody's attempt, and nobody's answer.
        self.assertEqual(connection.receive(error(4, "Unavailable"), 100.3), [])
        [event] = connection.receive(error(3, "StaleBinding", status=10), 100.3)
        self.assertTrue(event.never_began)
        self.assertFalse(connection.is_drained)
        [event] = connection.receive(frame(REPLY, 2, b"\x91\x01"), 100.3)
        self.assertEqual(event.values, (1,))
        self.assertTrue(connection.is_drained)

    def test_a_stale_id_is_bound_again_and_not_for_ever(self):
        connection = made()
        call = request("p", 1)
        connection.call(call, 100.1)
        connection.receive(bound(1), 100.1)
        for turn in range(REBINDS_MAX):
            at = 2 + 2 * turn
            self.assertEqual(connection.receive(error(at, "StaleBinding", status=10), 100.2), [])
            connection.receive(bound(at + 1, 8 + turn), 100.2)
        [event] = connection.receive(error(2 + 2 * REBINDS_MAX, "StaleBinding", status=10), 100.2)
        self.assertEqual((event.error.exception, event.error.executed), ("Unavailable", "no"))

    def test_calls_that_came_after_a_bind_left_are_not_refused_with_it(self):
        connection = made()
        early, late = request("p", 1), request("p", 2)
        connection.call(early, 100.1)
        connection.output()
        connection.call(late, 100.1)
        [event] = connection.receive(error(1, "RPCNotFound", status=5), 100.2)
        self.assertEqual(event.request, early)
        self.assertEqual([(kind, id) for kind, _, id, _ in frames(connection.output())], [(BIND, 2)])
        connection.receive(bound(2), 100.3)
        self.assertEqual([kind for kind, _, _, _ in frames(connection.output())], [CALL])

    def test_a_server_that_breaks_the_protocol_is_told_apart_and_left(self):
        call_sent = bound(1)
        for what, data, says in [
            ("another version", hello(version=2), "version 2"),
            ("not a map", frame(HELLO, 0, pack([])), "a HELLO must be a map"),
            ("a negative limit", hello(frame_bytes=-1), "frame_bytes"),
            ("a second HELLO", hello() + hello(), "a second HELLO"),
            ("a REPLY first", frame(REPLY, 1, b"\x90"), "a REPLY came before the HELLO"),
            ("an unknown kind", hello() + frame(99, 1), "unknown kind 99"),
            ("a CALL", hello() + frame(CALL, 1), "does not send CALL"),
            ("a lying length", HEADER.pack(FRAME_BYTES + 1, REPLY, 0, 0, 2), f"the limit is {FRAME_BYTES}"),
            ("an answer to nobody", hello() + call_sent + frame(REPLY, 55, b"\x90"), "a REPLY to no call (id 55)"),
            ("a BOUND of nothing", hello() + bound(44), "a BOUND of no BIND"),
            ("a BOUND without an id", hello() + frame(BOUND, 1, pack([-1, [], [], False])), "not laid out"),
            ("an ERROR that is not a map", hello() + call_sent + frame(ERROR, 2, pack(5)), "must be a map"),
            ("an ERROR without a name", hello() + call_sent + frame(ERROR, 2, pack({"message": "m"})), "without exception"),
            ("a GOAWAY that is none", hello() + frame(GOAWAY, 0, pack([])), "GOAWAY"),
            ("a PROOF", hello() + frame(PROOF, 0), "PROOF that nobody waits for"),
            ("deep nesting", hello() + call_sent + frame(ERROR, 2, b"\x91" * 100 + b"\x90"), "deeper than 64"),
            ("an HTTP server", b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answered"),
            ("an SSH server", b"SSH-2.0-x\r\n", "an SSH server"),
            ("a TLS server", b"\x15\x03\x03\0\x02\x02\x28", "a TLS server"),
            ("our own json", b'{"header":"RPC-EX","value":{"exception-message":"no"}}\n', "a line of JSON: no"),
            ("a mail server", b"220 mail ESMTP\r\n", "it answered '220 mail ESMTP'"),
        ]:  # fmt: skip
            with self.subTest(what):
                connection = made(False)
                call = request("p", 1)
                connection.call(call, 100.0)
                events = connection.receive(data, 100.1)
                self.assertIsInstance(events[-1], Ended, events)
                self.assertEqual(events[-1].error.exception, "ProtocolError")
                self.assertIn(says, events[-1].error.message)
                self.assertEqual([each.request for each in events if isinstance(each, Failed)], [call])
                self.assertTrue(connection.is_closed)
                self.assertEqual(connection.receive(hello(), 100.2), [])

    def test_whatever_comes_ends_in_events_and_no_call_is_forgotten(self):
        _, data = self.conversation()
        chance = random.Random(8)
        for _ in range(2000):
            connection, _ = self.conversation()
            calls = 4
            mutated = bytearray(data)
            for _ in range(1 + chance.randrange(4)):
                mutated[chance.randrange(len(mutated))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
            events = connection.receive(bytes(mutated), 100.5) + connection.take_events()
            events += connection.end_of_input()
            told = [each.request for each in events if isinstance(each, (Answered, Failed))]
            self.assertEqual(len(told), calls)
            self.assertEqual(len(set(map(id, told))), calls)

    def test_a_value_that_cannot_be_read_fails_its_call_alone(self):
        for payload in (pack(5), b"\xc1", b"\x92\x01", b"\x91\xcf" + b"\xff" * 8, b""):
            connection = made()
            first, second = request("p", 1), request("p", 2)
            connection.call(first, 100.1)
            connection.call(second, 100.1)
            events = connection.receive(bound(1) + frame(REPLY, 2, payload) + frame(REPLY, 3, b"\x91\x02"), 100.2)
            self.assertEqual((events[0].error.exception, events[0].error.executed), ("ProtocolError", "yes"))
            self.assertEqual(events[1].values, (2,))

    def test_an_error_of_the_connection_ends_it(self):
        connection = made()
        call = request("p", 1)
        connection.call(call, 100.1)
        connection.receive(bound(1), 100.1)
        events = connection.receive(error(0, "ResourceExhausted", status=8, actual=2, limit=1) + bound(9), 100.2)
        self.assertEqual(kinds(events), [Failed, Ended])
        self.assertEqual((events[0].error.executed, events[1].error.limit), ("maybe", 1))


class Times(unittest.TestCase):
    def test_a_silent_server_with_calls_in_flight_is_asked_and_given_up(self):
        connection = made(options=Options(keepalive=5.0), ping_ms=30000)
        self.assertAlmostEqual(connection.due(), 130.1)
        connection.call(request("p", 1), 110.0)
        connection.output()
        self.assertAlmostEqual(connection.due(), 115.0)
        self.assertEqual(connection.tick(114.9), [])
        self.assertEqual(connection.output(), b"")
        connection.tick(115.0)
        [(kind, _, id, _)] = frames(connection.output())
        self.assertEqual(kind, PING)
        self.assertTrue(connection.is_silent)
        # Any byte is a sign of life, and the PONG the best.
        connection.receive(frame(PONG, id), 116.0)
        self.assertFalse(connection.is_silent)
        self.assertAlmostEqual(connection.round_trip, 1.0)
        self.assertAlmostEqual(connection.due(), 121.0)
        connection.tick(121.0)
        connection.receive(bound(1), 122.0)
        connection.tick(126.0)
        self.assertFalse(connection.is_closed)
        connection.output()
        connection.tick(127.0)
        connection.tick(127.1)
        events = connection.tick(132.1)
        self.assertEqual(kinds(events), [Failed, Ended])
        self.assertIn("has stopped answering: no PONG within 5", events[0].error.message)
        self.assertEqual(events[0].error.executed, "maybe")

    def test_without_calls_the_servers_wish_counts_and_zero_is_never(self):
        connection = made(options=Options(ping_interval=10.0))
        self.assertAlmostEqual(connection.due(), 110.1)
        connection = made(options=Options(keepalive=0, ping_interval=0))
        self.assertIsNone(connection.due())
        connection.call(request("p", 1), 100.0)
        self.assertIsNone(connection.due())

    def test_the_servers_pings_are_answered_in_their_order(self):
        connection = made()
        connection.receive(frame(PING, 5) + frame(PING, 3), 100.2)
        self.assertEqual(frames(connection.output()), [(PONG, 0, 5, b""), (PONG, 0, 3, b"")])

    def test_a_ping_of_the_callers_says_how_long_it_took(self):
        connection = made()
        connection.ping("mine", 100.2)
        [(kind, _, id, _)] = frames(connection.output())
        self.assertEqual(kind, PING)
        [event] = connection.receive(frame(PONG, id) + frame(PONG, 99), 100.5)
        self.assertIsInstance(event, Pong)
        self.assertEqual((event.token, round(event.seconds, 3)), ("mine", 0.3))


class Errors(unittest.TestCase):
    def test_errors_are_copied_and_pickled_whole(self):
        import copy
        import pickle

        from simplerpc import DeadlineExceeded, ExecutionException

        fault = ExecutionException("boom", source="f.py:1", server="s1", exception="Later", status=9)
        for again in (copy.copy(fault), pickle.loads(pickle.dumps(fault))):
            self.assertEqual((type(again), str(again), again.__dict__), (ExecutionException, "Later: boom", fault.__dict__))
        late = pickle.loads(pickle.dumps(DeadlineExceeded("late")))
        self.assertIsInstance(late, TimeoutError)
        self.assertIsInstance(late, RPCError)
        self.assertEqual((str(late), late.executed, late.status), ("DeadlineExceeded: late", "maybe", 4))


assert support and Generation and Draining
if __name__ == "__main__":
    unittest.main()
