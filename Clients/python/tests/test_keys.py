"""Keys as OpenSSH writes them, proofs of both sides, and init.yaml."""

import os
import subprocess
import tempfile
import unittest

from support import HEADER, HELLO, Case, Fake, pack, unpack, without_cryptography

from simplerpc import BadKey, Client, MissingExtra, PrivateKey, PublicKey, Server, Topology
from simplerpc.frames import PROOF
from simplerpc.keys import client_statement, server_statement
from simplerpc.options import Options
from simplerpc.protocol import Connection

#: The key whose private half is 32 times 9, and its line in a .pub file.
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY"


class Public(unittest.TestCase):
    def test_a_public_key_is_read_and_written_as_openssh_does(self):
        key = PublicKey.parse(LINE + " somebody@somewhere\n")
        self.assertEqual((str(key), len(key.bytes)), (LINE, 32))
        self.assertEqual(key, PublicKey(key.bytes))
        self.assertEqual(eval(repr(key)), key)
        self.assertTrue(key.fingerprint.startswith("SHA256:"))
        for text, says in [
            ("", "is not a public key"), ("ssh-rsa AAAA", "is not a public key"), ("ssh-ed25519", "copy the line"),
            ("ssh-ed25519 AAAA", "copy the line"), (LINE[:-4], "copy the line"), (LINE + "AAAA", "copy the line"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"),
        ]:  # fmt: skip
            with self.assertRaisesRegex(BadKey, says):
                PublicKey.parse(text)

    def test_keys_that_are_nobodys_are_refused(self):
        for text in [
            "00" * 32, "01" + "00" * 31, "01" + "00" * 30 + "80", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "ec" + "ff" * 30 + "7f",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ]:  # fmt: skip
            with self.assertRaisesRegex(BadKey, "small order"):
                PublicKey(bytes.fromhex(text))
        for text in ("ed" + "ff" * 30 + "7f", "ff" * 32):
            with self.assertRaisesRegex(BadKey, "no point"):
                PublicKey(bytes.fromhex(text))
        self.assertRaises(BadKey, PublicKey, b"x")


@unittest.skipIf(without_cryptography(), "the package cryptography is not installed")
class Private(Case):
    def make(self, folder, *options):
        path = os.path.join(folder, f"key{len(os.listdir(folder))}")
        subprocess.run(["ssh-keygen", "-q", "-f", path, *(options or ("-t", "ed25519", "-N", ""))], check=True)
        return path

    def test_what_ssh_keygen_makes_is_read_and_what_cannot_be_used_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            path = self.make(folder)
            key = PrivateKey.load(path)
            with open(path + ".pub") as file:
                self.assertEqual(PublicKey.parse(file.read()), key.public)
            shown = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, text=True).stdout.split()[1]
            self.assertEqual(key.public.fingerprint, shown)
            self.assertNotIn(key._key.private_bytes_raw().hex() if hasattr(key._key, "private_bytes_raw") else "!", repr(key))
            self.assertTrue(key.public.verifies(key.sign(["a", 1]), ["a", 1]))
            self.assertFalse(key.public.verifies(key.sign(["a", 1]), ["a", 2]))
            locked = self.make(folder, "-t", "ed25519", "-N", "secret")
            other = self.make(folder, "-t", "ecdsa", "-N", "")
            damaged = os.path.join(folder, "damaged")
            with open(path) as good, open(damaged, "w") as bad:
                lines = good.read().split("\n")
                lines[2] = lines[2][:10] + ("A" if lines[2][10] != "A" else "B") + lines[2][11:]
                bad.write("\n".join(lines))
            os.chmod(damaged, 0o600)
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo, 0o600)
            for name, says in [
                (locked, "has a passphrase"), (other, "not ecdsa-sha2-nistp256"), (damaged, "damaged|cut short|of the kind"),
                (path + ".pub", "others than its owner may read it|public key"), (fifo, "is not a file"), (folder, "is not a file|cannot be read"),
                (os.path.join(folder, "none"), "cannot be read: No such file"),
            ]:  # fmt: skip
                with self.assertRaisesRegex(BadKey, says):
                    PrivateKey.load(name)
            os.chmod(path, 0o644)
            with self.assertRaisesRegex(BadKey, "chmod 600"):
                Client("a:1", key=path)

    def server(self, key, *, challenge=b"c" * 32, sign_for=None, tell=None, verdict=True):
        """A server that proves a key, and checks the client's."""

        def script(peer):
            peer.expect_preface()
            _, _, payload = peer.read()
            hello = unpack(payload)
            nonce = sign_for or hello["nonce"]
            told = (tell or key.public).bytes
            fields = {"server_key": told, "server_signature": key.sign(server_statement(nonce, told, b"")), "features": ["proof"]}
            if challenge:
                fields["challenge"] = challenge
            peer.send(HELLO, 0, pack({"version": 1, "agent": "fake", **fields}))
            if "proof" in hello.get("features", []):
                frame = peer.read()
                if not frame:
                    return
                kind, _, payload = frame
                assert kind == PROOF, kind
                public, name, ip, port, signature = unpack(payload)
                assert (name, ip, port) == (f"127.0.0.1:{peer.connection.getsockname()[1]}", b"\x7f\0\0\1", peer.connection.getsockname()[1])
                statement = client_statement(challenge, public, name, ip, port, told, b"")
                assert PublicKey(public).verifies(signature, statement)
                self.shown.append(public)
                if not verdict:
                    peer.fail(0, "Unauthenticated", "not this key", status=16)
                    peer.wait()
                    return
                peer.send(PROOF, 0)
            peer.serve()

        self.shown = []
        return Fake(script)

    def test_each_side_proves_its_key_and_calls_wait_for_that(self):
        mine, theirs = PrivateKey(b"\7" * 32), PrivateKey(b"\x09" * 32)
        with self.server(theirs) as server, Client(server.address, key=mine) as client:
            self.assertEqual((client.call("s.p", 1), client.start("s.p", 2).result(20)), (1, 2))
            self.assertEqual(self.shown, [mine.public.bytes] * 2)
        with self.server(theirs) as server, Client(server.address, server_key=LINE) as client:
            self.assertEqual((client.call("s.p", 1), self.shown), (1, []))

    def test_a_server_that_is_another_gets_nothing_but_a_hello(self):
        mine, theirs = PrivateKey(b"\7" * 32), PrivateKey(b"\x09" * 32)
        for options, says in [
            ({"sign_for": b"n" * 32}, "its signature is not of this connection"),
            ({"tell": PrivateKey(b"\x08" * 32).public}, "does not own the key that it names"),
            ({"challenge": b""}, "takes no proof"), ({"challenge": b"short"}, "takes no proof"), ({"verdict": False}, "not this key"),
        ]:  # fmt: skip
            with self.subTest(options), self.server(theirs, **options) as server, Client(server.address, key=mine) as client:
                for call in (client.call, lambda *a: client.start(*a).result(20)):
                    error = self.refused("Unauthenticated", lambda: call("s.p", 1), says)
                    self.assertEqual(error.executed, "no")
                self.assertEqual(self.shown, [] if "verdict" not in options else [mine.public.bytes] * 2)
        with self.server(mine) as server, Client(server.address, server_key=LINE) as client:
            self.refused("Unauthenticated", lambda: client.call("s.p", 1), "expected was " + theirs.public.fingerprint)
        with Fake(lambda peer: (peer.greet(), peer.wait())) as server, Client(server.address, key=mine) as client:
            self.refused("Unauthenticated", lambda: client.call("s.p", 1), "keys need a server of version 1.1 or later")

    def test_whatever_a_server_says_of_keys_no_call_is_sent_before_they_hold(self):
        import random

        chance, mine = random.Random(4), PrivateKey(b"\7" * 32)
        for _ in range(300):
            connection = Connection(Server.parse("127.0.0.1:1"), Options(key=mine), (b"\x7f\0\0\1", 1))
            connection.start(0)
            fields = {"version": 1, "agent": "x"}
            for name in ("server_key", "server_signature", "challenge", "features"):
                fields[name] = chance.choice([None, 5, b"", bytes(32), bytes(64), mine.public.bytes, ["proof"], [1], {}])
            payload = pack(fields)
            connection.output()
            connection.receive(HEADER.pack(len(payload), HELLO, 0, 0, 0) + payload, 1)
            self.assertTrue(connection.is_closed)
            self.assertEqual(connection.output(), b"")


class Missing(unittest.TestCase):
    @unittest.skipUnless(without_cryptography(), "the package cryptography is installed")
    def test_without_cryptography_keys_are_refused_by_name(self):
        for action in (lambda: PrivateKey(b"\7" * 32), lambda: Client("a:1", server_key=LINE)):
            with self.assertRaisesRegex(MissingExtra, r"pip install 'simplerpc\[keys\]'"):
                action()


class InitFile(unittest.TestCase):
    def write(self, text):
        folder = tempfile.mkdtemp()
        self.addCleanup(lambda: (os.unlink(path), os.rmdir(folder)))
        path = os.path.join(folder, "init.yaml")
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_the_network_of_an_init_file_is_taken(self):
        try:
            import yaml  # noqa: F401
        except ImportError:
            with self.assertRaisesRegex(MissingExtra, r"pip install 'simplerpc\[yaml\]'"):
                Topology.from_init("init.yaml")
            return
        text = f"""
network:
  ca: ca.pem
  servers:
    - s1: {{ip: 127.0.0.1, port: 8181}}
    - s2: {{ip: "::1", port: 8282, key: {LINE}, certificate: "sha256//AAAA"}}
  clients:
    - c1: {{ip: 127.0.0.1, port: 6000}}
    - c2: {{ip: 10.0.0.0/8}}
service:
  - text: {{providers: [s1, s2], tenants: [c1], rpcs: [x]}}
  - math: {{providers: [s2], tenants: [c1], rpcs: [y]}}
"""
        path = self.write(text)
        topology = Topology.from_init(path)
        self.assertEqual([server.address for server in topology.servers], ["127.0.0.1:8181", "[::1]:8282"])
        self.assertEqual(topology.servers[1].key, PublicKey.parse(LINE))
        self.assertEqual(topology.servers[1].pin, "sha256//AAAA")
        self.assertEqual(topology.servers[0].ca, os.path.join(os.path.dirname(path), "ca.pem"))
        self.assertEqual(topology.services, {"text": ("s1", "s2"), "math": ("s2",)})
        self.assertEqual((topology.clients["c1"].source, topology.clients["c2"].source), (("127.0.0.1", 6000), None))
        for broken, says in [
            (":", "init.yaml: "), ("network: {}", "'servers' is missing"), ("network: {servers: [s1]}", "NAME: {…} is expected"),
            ("network: {servers: [s1: {ip: a, port: x}]}", "initializer --dry-run"), ("[]", "initializer"), ("network: {servers: []}", "at least one"),
        ]:  # fmt: skip
            with self.assertRaisesRegex(ValueError, says):
                Topology.from_init(self.write(broken))


if __name__ == "__main__":
    unittest.main()
