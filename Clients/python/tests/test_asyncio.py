"""What the client for asyncio does, against servers that do what each test says."""

import asyncio
import gc
import threading
import unittest
import warnings

from support import REPLY, TIMEOUT, Case, Fake, free_port, pack

from simplerpc import NO_RETRY, AsyncClient, Cancelled, DeadlineExceeded, RPCError, ServiceNotFound, Topology, Unavailable
from simplerpc import Server as Named
from simplerpc.frames import CANCEL


def serving(peer):
    peer.greet()
    peer.serve()


class Asyncio(Case):
    def run_on(self, scripts, test, *, timeout=TIMEOUT, **options):
        async def whole(server):
            asyncio.get_running_loop().slow_callback_duration = TIMEOUT
            async with AsyncClient(server.address, **options) as client:
                await asyncio.wait_for(test(client), timeout)

        with Fake(*scripts) as server:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                asyncio.run(whole(server), debug=True)
            return server

    def test_many_tasks_share_one_connection(self):
        async def test(client):
            results = await asyncio.gather(*(client.call("s.p", number) for number in range(500)))
            self.assertEqual(results, list(range(500)))
            self.assertEqual(await client.service("s").p("x"), "x")
            self.assertGreater(await client.ping(), 0)

        self.assertEqual(self.run_on([serving], test).count, 1)

    def test_a_task_that_is_cancelled_cancels_its_call_on_the_server(self):
        seen, arrived = [], threading.Event()

        def script(peer):
            peer.greet()
            peer.bind()
            call_id = peer.call()
            arrived.set()
            seen.append(peer.read()[:2])
            peer.send(REPLY, call_id, pack([1]))  # too late
            peer.serve()

        async def test(client):
            for way in (lambda: asyncio.create_task(client.call("s.p", 1)), lambda: client.start("s.p", 1)):
                waiting = way()
                if not arrived.is_set():
                    await asyncio.get_running_loop().run_in_executor(None, arrived.wait, TIMEOUT)
                waiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waiting
                self.assertEqual(await client.call("s.p", 2), 2)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(client.call("s.p", 3), 0)
            self.assertEqual(await client.call("s.p", 2), 2)

        self.run_on([script], test)
        self.assertEqual(seen, [(CANCEL, 2)])

    def test_times_and_errors_are_those_of_the_blocking_client(self):
        def script(peer):
            peer.greet()
            peer.bind()
            peer.call()
            peer.read()
            peer.serve()

        async def test(client):
            with self.assertRaises(DeadlineExceeded) as caught:
                await client.call("s.p", 1, timeout=0.05)
            self.assertEqual(caught.exception.executed, "maybe")
            with self.assertRaises(RPCError):
                await client.call("s.p", object())
            self.assertEqual(await client.call("s.p", 2), 2)

        self.run_on([script], test)

    def test_closing_fails_what_is_in_flight_and_what_comes_after(self):
        def script(peer):
            peer.greet()
            peer.bind()
            peer.wait()

        async def test(client):
            calls = [client.start("s.p", number) for number in range(5)]
            await asyncio.sleep(0)
            await client.close()
            for call in calls:
                with self.assertRaises(Cancelled):
                    await call
            with self.assertRaises(Cancelled):
                await client.call("s.p", 1)

        self.run_on([script], test)

    def test_a_provider_that_is_down_or_mute_is_no_obstacle(self):
        async def whole(first, second):
            servers = (Named("a", "127.0.0.1", first), Named("b", "127.0.0.1", second))
            async with AsyncClient(Topology(servers, {"s": ("a", "b")}), retry=NO_RETRY) as client:
                for number in range(20):
                    self.assertEqual(await asyncio.wait_for(client.call("s.p", number), 5), number)
                with self.assertRaises(ServiceNotFound):
                    await client.call("t.p")

        with Fake(serving) as server:
            asyncio.run(whole(free_port(), server.port))
            with Fake(lambda peer: peer.wait()) as mute:
                asyncio.run(whole(mute.port, server.port))

    def test_nobody_there_is_told_once_tried(self):
        async def whole():
            async with AsyncClient(f"127.0.0.1:{free_port()}") as client:
                with self.assertRaisesRegex(Unavailable, "connection refused"):
                    await client.call("s.p", 1)

        asyncio.run(whole())

    def test_a_silent_server_is_given_up_also_where_it_was_idle_before(self):
        def script(peer):
            peer.greet()
            peer.bind()
            peer.send(REPLY, peer.call(), pack([1]))
            peer.call()
            peer.wait()

        async def test(client):
            self.assertEqual(await client.call("s.p", 1), 1)
            await asyncio.sleep(0)
            with self.assertRaisesRegex(Unavailable, "no PONG within 0.2 s"):
                await client.call("s.p", 1)

        self.run_on([script], test, keepalive=0.2, timeout=5)

    def test_a_client_belongs_to_the_loop_that_used_it_first(self):
        with Fake(serving) as server:
            client = AsyncClient(server.address)

            async def use():
                return await client.call("s.p", 1)

            async def use_and_close():
                await use()
                await client.close()

            loop = asyncio.new_event_loop()
            loop.run_until_complete(use())
            with self.assertRaisesRegex(RuntimeError, "another event loop"):
                asyncio.run(use())
            loop.run_until_complete(use_and_close())
            loop.close()
            gc.collect()


if __name__ == "__main__":
    unittest.main()
