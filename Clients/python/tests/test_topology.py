"""How a client that was given one server learns the network from it."""

import asyncio
import threading
import time
import unittest

from support import BIND, BOUND, CALL, REPLY, TIMEOUT, Case, Fake, free_port, pack, unpack, ways, without_cryptography

from simplerpc import AsyncClient, Client, RPCError, Server, ServiceNotFound, Topology, Unavailable
from simplerpc.frames import GENERATION

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
PINS = ["sha256//" + letter * 43 + "=" for letter in "AB"]


def told(server="s1", servers=(("s1", "10.0.0.1", 1), ("s2", "10.0.0.2", 2)), services=None, **more):
    fields = [dict(zip(("name", "host", "port"), each)) for each in servers]
    services = [{"name": name, "providers": providers} for name, providers in (services or {"x": ["s1", "s2"]}).items()]
    return {"generation": 1, "servers": fields, "services": services, **({"server": server} if server else {}), **more}


class Learned(unittest.TestCase):
    """What `system.topology` returned, as a table."""

    def learned(self, answer, asked="127.0.0.1:5", seeds=(), before=None):
        asked = asked if isinstance(asked, Server) else Server.parse(asked)
        return (before or Topology((asked,))).learned(answer, asked, [asked, *seeds])

    def test_the_one_that_was_asked_is_reached_as_it_was_and_the_others_as_they_are_told(self):
        found = self.learned(told())
        self.assertEqual([(each.name, each.address) for each in found.servers], [("s1", "127.0.0.1:5"), ("s2", "10.0.0.2:2")])
        self.assertEqual(found.services, {"x": ("s1", "s2")})
        self.assertEqual([each.name for each in found.candidates("x")], ["s1", "s2"])
        self.assertEqual([each.name for each in found.candidates("x", "s2")], ["s2"])

    def test_what_is_not_told_is_asked_of_any(self):
        found = self.learned(told(services={"x": ["s2"], "y": []}))
        for service in ("z", "y", "system"):
            self.assertEqual(found.candidates(service), list(found.servers))

    def test_before_the_first_deployment_there_is_the_one_that_was_asked(self):
        found = self.learned({"generation": 0, "servers": [], "services": []})
        self.assertEqual([each.address for each in found.servers], ["127.0.0.1:5"])
        self.assertEqual(found.candidates("x"), list(found.servers))

    def test_pins_and_authorities_are_those_told_unless_others_were_given(self):
        answer = told(ca="-----BEGIN")
        answer["servers"][1]["certificate"] = PINS[0]
        first, second = self.learned(answer, "10.0.0.1:1").servers
        self.assertEqual((first.pin, first.ca, second.pin, second.ca), (None, "-----BEGIN", PINS[0], "-----BEGIN"))
        given = Server("given", "10.0.0.2", 2, pin=PINS[1])
        first, second = self.learned(answer, Server("", "10.0.0.1", 1, ca="own"), seeds=[given]).servers
        self.assertEqual((first.ca, second.name, second.pin, second.ca), ("own", "s2", PINS[1], None))

    @unittest.skipIf(without_cryptography(), "the package cryptography is not installed")
    def test_keys_are_told(self):
        answer = told()
        answer["servers"][1]["key"] = KEY
        self.assertEqual([str(each.key) for each in self.learned(answer).servers], ["None", KEY])

    def test_servers_that_were_given_stay_to_be_asked(self):
        seed = Server.parse("10.9.9.9:9")
        found = self.learned(told(), seeds=[seed])
        self.assertEqual([each.name for each in found.servers], ["s1", "s2", "10.9.9.9:9"])
        self.assertEqual([each.name for each in found.candidates("x")], ["s1", "s2"])

    def test_one_that_told_its_name_keeps_it_where_another_does_not_tell_of_it(self):
        before = self.learned(told())
        after = before.learned(told("s2", [("s2", "10.0.0.2", 2)], {"x": ["s2"]}), before.servers[1], [Server.parse("127.0.0.1:5")])
        self.assertEqual([(each.name, each.address) for each in after.servers], [("s2", "10.0.0.2:2"), ("s1", "127.0.0.1:5")])

    def test_servers_that_stay_the_same_are_the_same_objects(self):
        before = self.learned(told())
        asked = before.servers[0]
        after = before.learned(told(servers=[("s1", "10.0.0.1", 1), ("s2", "10.0.0.2", 3)]), asked, [Server.parse("127.0.0.1:5")])
        self.assertIs(after.servers[0], asked)
        self.assertEqual(after.servers[1].port, 3)

    def test_what_is_no_topology_is_refused(self):
        wrong = [
            {}, told(servers=[("s1", "h", 0)]), told(servers=[("s1", "h", 1), ("s1", "h", 2)]), {"servers": 1, "services": []},
            {"servers": [1], "services": []}, {"servers": [{"name": "s1", "host": "h"}], "services": []},
            {"servers": [{"name": "s1", "host": "h", "port": "x"}], "services": []},
            {"servers": [{"name": "s1", "host": "h", "port": 1, "key": "x"}], "services": []},
            {"servers": [{"name": "s1", "host": "h", "port": 1, "certificate": "x"}], "services": []},
            {"servers": [], "services": [{"name": "x"}]}, {"servers": [], "services": [{"name": "x", "providers": 1}]},
        ]  # fmt: skip
        for answer in wrong:
            with self.subTest(answer), self.assertRaises(ValueError):
                self.learned(answer)


class Network:
    """Servers that tell the network which the test says, and answer other calls with their name."""

    def __init__(self, *names):
        self.peers, self.asked = [], []
        self.services = {}
        self.fakes = {name: Fake(self.script(name)) for name in names}
        self.shown = {name: fake.port for name, fake in self.fakes.items()}

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        for fake in self.fakes.values():
            fake.__exit__(*reason)

    def address(self, name):
        return self.fakes[name].address

    def answer(self, name):
        return told(name, [(each, "127.0.0.1", port) for each, port in self.shown.items()], self.services)

    def script(self, name):
        def script(peer):
            peer.greet()
            self.peers.append(peer)
            names = {}
            while True:
                frame = peer.read()
                if not frame:
                    return
                kind, call_id, payload = frame
                if kind == BIND:
                    service, procedure = unpack(payload)[:2]
                    if service not in ("system", *(each for each, at in self.services.items() if name in at)):
                        peer.fail(call_id, "ServiceNotFound", f"{name} does not provide {service}", status=5)
                        continue
                    names[len(names)] = procedure
                    peer.send(BOUND, call_id, pack([len(names) - 1, [], ["Any"], False]))
                elif kind == CALL and names[payload[0]] == "topology":
                    self.asked.append(name)
                    peer.send(REPLY, call_id, pack([self.answer(name)]))
                elif kind == CALL:
                    peer.send(REPLY, call_id, pack([name]))

        return script


class Following(Case):
    def test_calls_go_to_the_providers_and_follow_them(self):
        with Network("s1", "s2", "s3") as network:
            network.services = {"x": ["s1"], "y": ["s2", "s3"]}
            with Client(network.address("s1"), network=True) as client:
                for call in ways(client).values():
                    self.assertEqual({call("x.p") for _ in range(5)}, {"s1"})
                    found, deadline = set(), time.monotonic() + TIMEOUT
                    while found != {"s2", "s3"}:  # the second one is connected to meanwhile
                        found.add(call("y.p"))
                        self.assertLess(time.monotonic(), deadline, found)
                    self.assertEqual(call("y.p", server="s3"), "s3")
                    self.refused("ServiceNotFound", lambda: call("z.p"), "does not provide z")
                    self.refused("ServiceNotFound", lambda: call("y.p", server="s4"), "there is no server 's4'; there are: s1, s2, s3")
                network.services = {"x": ["s2"], "y": ["s3"]}
                for peer in network.peers:
                    try:
                        peer.send(GENERATION, 2)
                    except OSError:
                        pass  # the first one to the server that was given has made way for one to the server by its name
                deadline = time.monotonic() + TIMEOUT
                while client.topology.services != {"x": ("s2",), "y": ("s3",)}:
                    self.assertIn(client.call("y.p"), ("s2", "s3"))
                    self.assertLess(time.monotonic(), deadline)
                for call in ways(client).values():
                    self.assertEqual({call("x.p") for _ in range(5)}, {"s2"})

    def test_a_service_that_moved_unannounced_is_found_again(self):
        for way in ("call", "start"):
            with self.subTest(way), Network("s1", "s2") as network:
                network.services = {"x": ["s1"], "y": ["s2"]}
                with Client(network.address("s1"), network=True) as client:
                    call = ways(client)[way]
                    self.assertEqual((call("x.p"), call("y.p")), ("s1", "s2"))
                    network.services = {"x": ["s2"], "y": ["s2"]}
                    self.assertEqual(call("x.q"), "s2")

    def test_a_server_that_moved_unannounced_is_found_again(self):
        for way in ("call", "start"):
            with self.subTest(way), Network("s1", "s2", "new") as network:
                network.services = {"x": ["s2"]}
                new = network.fakes["new"].port
                del network.shown["new"]
                with Client(network.address("s1"), network=True) as client:
                    call = ways(client)[way]
                    self.assertEqual(call("x.p"), "s2")
                    network.services = {"x": ["s2", "new"]}
                    network.shown["s2"] = new
                    network.fakes["s2"].stop()
                    deadline = time.monotonic() + TIMEOUT
                    while True:
                        try:
                            self.assertEqual(call("x.p"), "new")
                            break
                        except RPCError as error:
                            self.assertIsInstance(error, Unavailable)
                            self.assertLess(time.monotonic(), deadline)

    def test_the_one_that_answers_of_several_is_asked(self):
        with Network("s1", "s2") as network:
            network.services = {"x": ["s2"]}
            closed = f"127.0.0.1:{free_port()}"
            for address in (closed, network.address("s1")), (network.address("s1"), closed):
                with self.subTest(address), Client(address, network=True) as client:
                    self.assertEqual([call("x.p") for call in ways(client).values()], ["s2", "s2"])

    def test_asyncio_learns_it_alike(self):
        async def test(network):
            async with AsyncClient(network.address("s1"), network=True) as client:
                self.assertEqual(await asyncio.gather(*(client.call("x.p") for _ in range(20))), ["s2"] * 20)
                self.assertEqual(network.asked, ["s1"])
                self.assertEqual([each.name for each in client.topology.servers], ["s1", "s2"])
                client.update_topology(Topology((Server.parse(network.address("s1")),), {"x": (network.address("s1"),)}))
                with self.assertRaises(ServiceNotFound):
                    await client.call("x.q")
                self.assertEqual(network.asked, ["s1"])

        with Network("s1", "s2") as network:
            network.services = {"x": ["s2"]}
            asyncio.run(test(network))

    def test_many_threads_at_once_ask_once(self):
        with Network("s1", "s2") as network:
            network.services = {"x": ["s2"]}
            with Client(network.address("s1"), network=True) as client:
                results = []
                threads = [threading.Thread(target=lambda: results.append(client.call("x.p"))) for _ in range(20)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(TIMEOUT)
                self.assertEqual((results, network.asked), (["s2"] * 20, ["s1"]))

    def test_a_server_that_tells_nothing_usable_is_named(self):
        def older(peer):
            peer.greet()
            call_id = peer.read()[1]
            peer.fail(call_id, "RPCNotFound", "the service 'system' has no procedure 'topology'", status=5)
            peer.wait()

        def other(answer):
            def script(peer):
                peer.greet()
                peer.bind()
                peer.send(REPLY, peer.call(), pack(answer))
                peer.wait()

            return script

        cases = [
            (older, "FailedPrecondition", "is of a release without system.topology"),
            (other([{"servers": 1}]), "ProtocolError", "the answer of system.topology is not understood"),
            (other([7]), "ProtocolError", "it is not a map"), (other([]), "ProtocolError", "it is not a map"),
        ]  # fmt: skip
        for script, exception, says in cases:
            for way in ("call", "start"):
                with self.subTest(says, way=way), Fake(script) as server, Client(server.address, network=True) as client:
                    self.refused(exception, lambda: ways(client)[way]("x.p"), says)

    def test_a_network_is_learned_from_addresses_alone(self):
        topology = Topology((Server.parse("127.0.0.1:1"),), {"x": ("127.0.0.1:1",)})
        for client in (Client, AsyncClient):
            with self.assertRaises(ValueError):
                client(topology, network=True)


if __name__ == "__main__":
    unittest.main()
