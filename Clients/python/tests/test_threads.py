"""Threads, processes and signals."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import unittest
from concurrent.futures import TimeoutError as FutureTimeout

from support import BIND, BOUND, CALL, PYTHON, REPLY, TIMEOUT, Case, Fake, fork, pack, serving, ways

from simplerpc import Client, RPCError
from simplerpc.frames import GENERATION


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

    def test_a_program_that_closes_nothing_ends_all_the_same(self):
        # What is registered first runs last.
        code = f"""
import atexit, sys, threading
atexit.register(lambda: print([thread.name for thread in threading.enumerate()]))
sys.path.insert(0, {str(PYTHON / "src")!r})
from simplerpc import Client
client = Client(sys.argv[1])
print(client.call("s.p", 1), client.start("s.p", 2).result())
"""
        with Fake(serving) as server:
            outcome = subprocess.run([sys.executable, "-B", "-c", code, server.address], capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual((outcome.stdout, outcome.stderr), ("1 2\n['MainThread']\n", ""))

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


if __name__ == "__main__":
    unittest.main()
