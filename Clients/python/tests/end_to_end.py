"""The clients against real servers: python3 end_to_end.py DIRECTORY [TEST…], where the directory has rpc-server and initializer"""

import asyncio
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

import real_servers
from real_servers import LUA, SOURCE, Network, eventually
from support import PYTHON, TIMEOUT, Case, free_port, without_cryptography

from simplerpc import NO_RETRY, AsyncClient, Client, ExecutionException, PublicKey, RetryPolicy, RPCError, Server, Topology

class Calls(Case):
    def test_values_overloads_and_the_five_exceptions(self):
        with Network("s1", "s2") as network:
            network.deploy(services={"test": ["s1"], "numbers": ["s1", "s2"]}, clients="    - other: {ip: 127.0.0.1, port: 9}")
            with Client(network.address("s1")) as client:
                for call in (client.call, lambda *arguments: client.start(*arguments).result(TIMEOUT)):
                    self.assertEqual((call("test.add", 1, 2), call("test.add", 1, "x"), call("numbers.sum", 2, 3)), (3, "1x", 5))
                    for name, arguments, exception, says in [
                        ("nothing.p", (), "ServiceNotFound", "nothing"), ("test.ad", (1, 2), "RPCNotFound", "did you mean 'add'"),
                        ("test.add", ("x", 1), "InvalidArguments", "add(a: int, b: int) -> int"),
                        ("test.fails", (), "ExecutionException", "as it should"),
                    ]:  # fmt: skip
                        self.refused(exception, lambda: call(name, *arguments), says)
                with self.assertRaises(ExecutionException) as caught:
                    client.call("test.fails")
                self.assertEqual((caught.exception.executed, caught.exception.source), ("yes", "test.py:5"))
                self.assertIn("numbers", [each["name"] for each in client.catalogue()["services"]])
                self.assertGreater(client.ping(), 0)
            network.deploy(tenants="other", clients=f"    - other: {{ip: 127.0.0.1, port: {free_port()}}}")
            with Client(network.address("s1")) as client:
                self.refused("ClientNotRegistered", lambda: client.call("test.add", 1, 2))

    def test_a_registered_source_port_is_called_from(self):
        port = free_port()
        with Network("s1", "s2") as network:
            network.deploy(tenants="c1", clients=f"    - c1: {{ip: 127.0.0.1, port: {port}}}")
            topology = self.topology(network)
            for _ in range(2):  # one after the other, from the same port
                with Client(topology, identity="c1") as client:
                    self.assertEqual([client.call("test.add", number, 1, server=name) for number in range(3) for name in ("s1", "s2")],
                                     [1, 1, 2, 2, 3, 3])  # fmt: skip

            async def test():
                async with AsyncClient(topology, identity="c1") as client:
                    return await client.call("test.add", 1, 1)

            self.assertEqual(asyncio.run(test()), 2)

    def topology(self, network):
        try:
            return Topology.from_init(network.file)
        except ImportError:
            raise unittest.SkipTest("PyYAML is not installed") from None

    def test_the_program(self):
        with Network("s1") as network:
            network.deploy()
            path = os.pathsep.join([str(PYTHON / "src"), os.environ.get("PYTHONPATH", "")])

            def program(*words):
                words = [sys.executable, "-B", "-m", "simplerpc", *words]
                return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, env={**network.environment, "PYTHONPATH": path})

            outcome = program(network.address("s1"), "test.add", "1", "2")
            self.assertEqual((outcome.returncode, outcome.stdout, outcome.stderr), (0, "3\n", ""))
            outcome = program(network.address("s1"), "test.add", "1", "x")
            self.assertEqual(json.loads(outcome.stdout), "1x")
            self.assertIn("test.add(a: int, b: int) -> int\n", program(network.address("s1")).stdout)
            self.assertEqual(program("--network", network.address("s1"), "test.add", "1", "2").stdout, "3\n")
            outcome = program(network.address("s1"), "test.fails")
            self.assertEqual((outcome.returncode, outcome.stderr), (66, "simplerpc: ExecutionException: ValueError: as it should at test.py:5 (executed: yes)\n"))


class Trust(Case):
    def test_tls_by_a_pin_and_by_an_authority(self):
        with Network("s1", options=["--tls", "required"]) as network:
            network.deploy(server=f', certificate: "{network.pin}"')
            address, authority = network.address("s1"), str(network.data("s1") / "tls-certificate.pem")
            for trust in ({"pin": network.pin}, {"ca": authority}, {"ca": pathlib.Path(authority).read_text()}):
                with self.subTest(trust), Client(address, **trust) as client:
                    self.assertEqual([client.call("test.add", 1, number) for number in range(3)], [1, 2, 3])
                    self.assertEqual([client.start("test.add", 1, number).result(TIMEOUT) for number in range(3)], [1, 2, 3])
                    big = "x" * 500_000
                    self.assertEqual((client.call("test.add", 1, big), client.start("test.add", 1, big).result(TIMEOUT)), ("1" + big, "1" + big))

                async def test(trust=trust):
                    async with AsyncClient(address, **trust) as client:
                        return await asyncio.gather(*(client.call("test.add", 1, number) for number in range(50)))

                self.assertEqual(asyncio.run(test()), list(range(1, 51)))
            other = "sha256//" + "A" * 43 + "="
            with Client(address, pin=other) as client:
                for call in (client.call, lambda *a: client.start(*a).result(TIMEOUT)):
                    error = self.refused("Unauthenticated", lambda: call("test.add", 1, 2), f"it has the certificate {network.pin}, expected was {other}")
                    self.assertEqual(error.executed, "no")
            with Client(address) as client:  # who speaks plainly is told
                self.refused("Unauthenticated", lambda: client.call("test.add", 1, 2), "TLS")
            wrong = network.folder / "wrong.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", os.devnull, "-out", wrong, "-subj", "/CN=x"],
                           check=True, capture_output=True)  # fmt: skip
            with Client(address, ca=str(wrong)) as client:
                self.refused("Unauthenticated", lambda: client.call("test.add", 1, 2), "its certificate is not good")
        with Network("s1") as network, Client(network.address("s1"), pin=other) as client:
            self.refused("Unauthenticated", lambda: client.call("system.ping"), "TLS handshake failed")

    def test_a_client_is_known_by_its_certificate(self):
        with Network("s1", options=["--tls", "required"]) as network:
            files = [str(network.folder / name) for name in ("client.pem", "client.key")]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", files[0], "-keyout", files[1], "-subj", "/CN=x"],
                           check=True, capture_output=True)  # fmt: skip
            der = subprocess.run(["openssl", "x509", "-in", files[0], "-outform", "DER"], check=True, capture_output=True).stdout
            from simplerpc.tls import pin_of

            network.deploy(server=f', certificate: "{network.pin}"', tenants="known", clients=f'    - known: {{certificate: "{pin_of(der)}"}}')
            with Client(network.address("s1"), pin=network.pin, certificate=(files[0], files[1])) as client:
                self.assertEqual((client.call("test.add", 1, 2), client.start("test.add", 1, 2).result(TIMEOUT)), (3, 3))
            with Client(network.address("s1"), pin=network.pin) as client:
                self.refused("ClientNotRegistered", lambda: client.call("test.add", 1, 2))

    @unittest.skipIf(without_cryptography(), "the package cryptography is not installed")
    def test_keys_of_both_sides_in_the_open_and_inside_tls(self):
        for options in ([], ["--tls", "required"]):
            with self.subTest(options), Network("s1", options=options) as network:
                for name in ("mine", "other"):
                    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", network.folder / name], check=True)
                mine, other = str(network.folder / "mine"), str(network.folder / "other")
                known = pathlib.Path(mine + ".pub").read_text().rsplit(" ", 1)[0]
                server = f', certificate: "{network.pin}"' if options else ""
                network.deploy(tenants="known", clients=f"    - known: {{key: {known}}}", server=server)
                address, trust = network.address("s1"), {"pin": network.pin} if options else {}
                for identity in (None, "known"):
                    with Client(address, key=mine, identity=identity, **trust) as client:
                        self.assertEqual((client.call("test.add", 1, 2), client.start("test.add", 1, 2).result(TIMEOUT)), (3, 3))
                for key in ({}, {"key": other}):
                    with Client(address, **key, **trust) as client:
                        self.refused("ClientNotRegistered", lambda: client.call("test.add", 1, 2))
                with Client(address, key=other, identity="known", **trust) as client:
                    self.refused("Unauthenticated", lambda: client.call("test.add", 1, 2))
                theirs = PublicKey.parse((network.data("s1") / "server-key.pub").read_text())
                with Client(address, server_key=theirs, key=mine, **trust) as client:
                    self.assertEqual(client.call("test.add", 1, 2), 3)
                if not options:
                    with Client(address, server_key=known) as client:
                        self.refused("Unauthenticated", lambda: client.call("test.add", 1, 2), "another server may be answering in its place")


class Changes(Case):
    def test_threads_and_tasks_notice_nothing_of_deployments(self):
        with Network("s1", "s2") as network:
            network.deploy()
            stop, failures, counts = threading.Event(), [], []

            def work(client, number):
                done = 0
                try:
                    while not stop.is_set():
                        assert client.call("test.add", number, done) == number + done
                        assert client.start("numbers.sum", number, done).result(TIMEOUT) == number + done
                        done += 1
                except BaseException as error:
                    failures.append(error)
                counts.append(done)

            async def tasks():
                async with AsyncClient([network.address("s1"), network.address("s2")]) as client:
                    while not stop.is_set():
                        assert await asyncio.gather(*(client.call("numbers.sum", 1, each) for each in range(10))) == list(range(1, 11))

            with Client([network.address("s1"), network.address("s2")]) as client:
                threads = [threading.Thread(target=work, args=[client, number]) for number in range(12)]
                threads.append(threading.Thread(target=lambda: asyncio.run(tasks())))
                for thread in threads:
                    thread.start()
                for turn in range(4):
                    (network.folder / "test.py").write_text(SOURCE + f"# {turn}\n")
                    (network.folder / "sum.lua").write_text(LUA + f"-- {turn}\n")
                    network.deploy()
                stop.set()
                for thread in threads:
                    thread.join(TIMEOUT)
            self.assertEqual(failures, [])
            self.assertTrue(len(counts) == 12 and min(counts) > 0, counts)

    def test_where_a_service_went_is_learned_from_the_servers(self):
        with Network("s1", "s2") as network:
            network.deploy(services={"test": ["s1"], "numbers": ["s2"]})
            addresses = [network.address("s1"), network.address("s2")]
            with Client(addresses) as client:
                self.assertEqual((client.call("test.add", 1, 2), client.call("numbers.sum", 1, 2)), (3, 3))
                self.assertEqual(client.topology.services, {"test": (addresses[0],), "numbers": (addresses[1],)})
                network.deploy(services={"test": ["s2"], "numbers": ["s1", "s2"]})
                eventually(lambda: client.topology.services == {"test": (addresses[1],), "numbers": tuple(addresses)})
                self.assertEqual((client.call("test.add", 1, 2), client.call("numbers.sum", 1, 2)), (3, 3))

    def test_a_server_that_stops_loses_no_answer(self):
        with Network("s1", "s2") as network:
            network.deploy()
            with Client([network.address("s1"), network.address("s2")], retry=NO_RETRY) as client:
                client.call("test.add", 1, 2)
                slow = [client.start("test.wait", 0.3) for _ in range(8)]
                quick, stop = [], threading.Event()

                def work():
                    while not stop.is_set():
                        quick.append(client.call("test.add", 1, 1))
                        quick.extend(call.result(TIMEOUT) for call in [client.start("numbers.sum", 1, 1) for _ in range(5)])

                with concurrent.futures.ThreadPoolExecutor(4) as threads:
                    working = [threads.submit(work) for _ in range(4)]
                    eventually(lambda: len(quick) > 50)
                    network.signal("s1", signal.SIGTERM)
                    network.processes["s1"].wait(TIMEOUT)
                    done = len(quick)
                    eventually(lambda: len(quick) > done + 50)
                    network.start("s1")
                    done = len(quick)
                    eventually(lambda: len(quick) > done + 50)
                    stop.set()
                    for each in working:
                        each.result(TIMEOUT)
                self.assertEqual([call.result(TIMEOUT) for call in slow], [0.3] * 8)
                self.assertEqual(set(quick), {2})


class Learning(Case):
    """One address is enough: the rest of the network is learned from the server there."""

    def test_calls_reach_and_follow_providers_elsewhere(self):
        with Network("s1", "s2", "s3") as network:
            network.deploy(services={"test": ["s2"], "numbers": ["s2", "s3"]})
            with Client(network.address("s1"), network=True) as client:
                for call in (client.call, lambda *arguments: client.start(*arguments).result(TIMEOUT)):
                    self.assertEqual((call("test.add", 1, 2), call("numbers.sum", 2, 3)), (3, 5))
                    self.refused("ServiceNotFound", lambda: call("other.add", 1, 2))
                self.assertEqual(sorted(each.name for each in client.topology.servers), ["s1", "s2", "s3"])
                self.assertEqual(client.topology.services, {"test": ("s2",), "numbers": ("s2", "s3")})
                network.deploy(services={"test": ["s3"], "numbers": ["s1"]})
                eventually(lambda: client.topology.services == {"test": ("s3",), "numbers": ("s1",)})
                self.assertEqual((client.call("test.add", 1, 2), client.call("numbers.sum", 2, 3)), (3, 5))

            async def test():
                async with AsyncClient([network.address("s2"), network.address("s1")], network=True) as client:
                    return await asyncio.gather(*(client.call("test.add", 1, each) for each in range(20)), client.call("numbers.sum", 1, 1))

            self.assertEqual(asyncio.run(test()), [*range(1, 21), 2])

    def test_a_server_that_moved_is_followed_though_no_procedure_changed(self):
        with Network("s1", "s2") as network:
            network.deploy(services={"test": ["s2"], "numbers": ["s1"]})
            with Client(network.address("s1"), network=True) as client:
                self.assertEqual((client.call("test.add", 1, 2), client.call("numbers.sum", 1, 2)), (3, 3))
                before = client.catalogue("s1")["generation"]
                network.signal("s2", signal.SIGTERM)
                network.processes["s2"].wait(TIMEOUT)
                network.ports["s2"] = free_port()
                network.start("s2")
                network.deploy(services={"test": ["s2"], "numbers": ["s1"]})
                eventually(lambda: client.topology.server("s2").port == network.ports["s2"])
                self.assertEqual((client.call("test.add", 1, 2), client.catalogue("s1")["generation"]), (3, before))

    def test_what_the_client_may_not_use_is_not_told(self):
        with Network("s1", "s2") as network:
            network.deploy(services={"test": ["s2"], "numbers": ["s1"]}, tenants="other", clients="    - other: {ip: 127.0.0.1, port: 9}")
            with Client(network.address("s1"), network=True) as client:
                self.refused("ClientNotRegistered", lambda: client.call("numbers.sum", 1, 2))
                self.refused("ServiceNotFound", lambda: client.call("test.add", 1, 2), "s2")
                self.assertEqual(([each.name for each in client.topology.servers], client.topology.services), (["s1"], {}))

    def test_pins_of_the_others_are_told(self):
        with Network("s1", "s2", options=["--tls", "required"]) as network:
            pins = network.pins
            network.deploy(services={"test": ["s2"], "numbers": ["s1"]}, certificates=pins)
            with Client(network.address("s1"), pin=pins["s1"], network=True) as client:
                self.assertEqual((client.call("test.add", 1, 2), client.start("numbers.sum", 1, 2).result(TIMEOUT)), (3, 3))
                self.assertEqual({each.name: each.pin for each in client.topology.servers}, pins)
            with Client(network.address("s1"), pin=pins["s2"], network=True) as client:
                self.refused("Unauthenticated", lambda: client.call("test.add", 1, 2), f"it has the certificate {pins['s1']}")


class Losses(Case):
    def network(self, keepalive=5.0, **options):
        """Two servers, and a client that knows which is called."""
        network = Network("s1", "s2")
        self.addCleanup(network.__exit__)
        network.deploy()
        servers = tuple(Server(name, "127.0.0.1", port) for name, port in network.ports.items())
        client = Client(Topology(servers, {"test": ("s1", "s2"), "numbers": ("s1", "s2")}), keepalive=keepalive, **options)
        self.addCleanup(client.close)
        return network, client

    def begun(self, network, name):
        """How many calls of Python procedures a server has in flight."""
        with Client(network.address(name)) as watcher:
            return watcher.call("system.stats")["calls_in_flight"] - 1

    def test_kill_9_in_the_middle_of_calls(self):
        network, client = self.network(retry=RetryPolicy(repeat_idempotent=True))
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            # They are asked for on the server that dies, and may be repeated elsewhere where that is allowed.
            once = [threads.submit(client.call, "test.wait", 60.0, server="s1"), client.start("test.wait", 60.0, server="s1")]
            again = [threads.submit(client.call, "test.again", 0.8), client.start("test.again", 0.8), client.start("test.again", 0.8)]
            eventually(lambda: self.begun(network, "s1") >= 2 and self.begun(network, "s1") + self.begun(network, "s2") == 5)
            network.signal("s1", signal.SIGKILL)
            for call in once:
                error = self.refused("Unavailable", lambda: call.result(TIMEOUT))
                self.assertEqual((error.executed, error.server), ("maybe", "s1"))
            self.assertEqual([call.result(TIMEOUT) for call in again], [0.8] * 3)
        self.assertEqual([client.call("numbers.sum", 1, number) for number in range(50)], list(range(1, 51)))
        self.refused("Unavailable", lambda: client.call("numbers.sum", 1, 1, server="s1"), "connection refused: server 's1'")
        network.start("s1")
        eventually(lambda: self.answers(client, "s1"))

    def test_a_server_that_is_frozen_is_set_aside_until_it_comes_back(self):
        network, client = self.network(keepalive=0.3, connect_timeout=1.0)
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(client.call, "test.wait", 60.0, server="s1"), client.start("test.wait", 60.0, server="s1")]
            eventually(lambda: self.begun(network, "s1") == 2)
            network.signal("s1", signal.SIGSTOP)
            try:
                for call in calls:
                    error = self.refused("Unavailable", lambda: call.result(TIMEOUT), "server 's1'")
                    self.assertIn("has stopped answering: no PONG within 0.3 s", error.message)
                    self.assertEqual(error.executed, "maybe")
                began = time.monotonic()
                for call in (client.call, lambda *arguments: client.start(*arguments).result(TIMEOUT)):
                    self.assertEqual([call("numbers.sum", 1, number) for number in range(100)], list(range(1, 101)))
                self.assertLess(time.monotonic() - began, 5)
            finally:
                network.signal("s1", signal.SIGCONT)
            eventually(lambda: self.answers(client, "s1"))

    def answers(self, client, server):
        try:
            return client.call("numbers.sum", 1, 1, server=server, timeout=1) == 2
        except RPCError:
            return False

    def test_what_is_cancelled_ends_on_the_server(self):
        network, client = self.network()

        async def cancel():
            async with AsyncClient(network.address("s1")) as own:
                task = asyncio.ensure_future(own.call("test.wait", 60.0))
                while not await own.call("system.stats") or (await own.call("system.stats"))["calls_in_flight"] < 2:
                    pass
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task

        cancelled = lambda: client.call("system.stats", server="s1")["cancelled"]  # noqa: E731
        before = cancelled()
        asyncio.run(cancel())
        eventually(lambda: cancelled() == before + 1)
        call = client.start("test.wait", 60.0, server="s1")
        eventually(lambda: self.begun(network, "s1") == 1)
        call.cancel()
        eventually(lambda: cancelled() == before + 2)
        self.refused("DeadlineExceeded", lambda: client.call("test.wait", 60.0, server="s1", timeout=0.2))
        eventually(lambda: self.begun(network, "s1") == 0)


if __name__ == "__main__":
    real_servers.PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
    del sys.argv[1]
    unittest.main()
