"""The beginning of a connection: what its HELLO asks for, and what follows from the server's. The server's key is checked first;
only then anything is signed, and that covers it."""

from typing import Any, Callable, Optional

from .errors import Unauthenticated
from .frames import VERSION
from .keys import BadKey, PublicKey, client_statement, server_statement
from .options import Options
from .topology import Server
from .values import pack


class Introduction:
    """`address` is the far end's IP address, as bytes, and port, which a proof of a key names."""

    def __init__(
        self, server: Server, options: Options, address: tuple[bytes, int], in_tls: bool, random: Callable[[int], bytes]
    ) -> None:
        self._server, self._options, self._address = server, options, address
        # Inside TLS the certificates say who is who, and a proof would need the connection's exporter, which Python lacks.
        asks = not in_tls and (options.key is not None or server.key is not None)
        self._nonce = random(32) if asks else None
        #: What the server has proven to own, where it was asked.
        self.server_key: Optional[PublicKey] = None

    @property
    def proves_keys(self) -> bool:
        """Whether calls must wait until keys were proven."""
        return self._nonce is not None

    def hello(self) -> bytes:
        """The payload of the client's HELLO."""
        options = self._options
        fields: dict[str, Any] = {"version": VERSION, "agent": options.agent}
        if options.identity is not None:
            fields["identity"] = options.identity
        fields["frame_bytes"] = options.frame_bytes
        if options.keepalive > 0:
            fields["keepalive_ms"] = max(1, int(options.keepalive * 1000))
        if self._nonce is not None:
            fields["nonce"] = self._nonce
            if options.key is not None:
                fields["features"] = ["proof"]
        return pack(fields)

    @staticmethod
    def check(hello: Any) -> dict[str, Any]:
        """The server's HELLO, once it is laid out as one. Raises ValueError."""
        if not isinstance(hello, dict):
            raise ValueError("a HELLO must be a map")
        if hello.get("version") != VERSION:
            raise ValueError(f"it speaks version {hello.get('version')!r:.20}, this client speaks {VERSION}")
        for key in ("frame_bytes", "calls_in_flight", "ping_ms", "generation"):
            if key in hello and (type(hello[key]) is not int or hello[key] < 0):
                raise ValueError(f"a HELLO with {hello[key]!r:.20} for {key}")
        return hello

    def answer(self, hello: dict[str, Any]) -> Optional[bytes]:
        """The payload of the PROOF that the server waits for; None where it waits for none. Raises Unauthenticated for a server
        that does not prove its key, or has another one than it must have."""
        if self._nonce is None:
            return None
        try:
            return self._prove(hello, self._nonce)
        except BadKey as error:
            raise Unauthenticated(str(error)) from None

    def _prove(self, hello: dict[str, Any], nonce: bytes) -> Optional[bytes]:
        label, data, signature = self._server.label, hello.get("server_key"), hello.get("server_signature")
        if not isinstance(data, bytes) or not isinstance(signature, bytes):
            agent = hello.get("agent")
            raise BadKey(f"{label} runs '{agent!s:.64}' and proves no key of its own: keys need a server of version 1.1 or later")
        impostor = f"{label} does not own the key that it names, so it may be another server in its place"
        try:
            found = PublicKey(data)
        except BadKey as error:
            raise BadKey(f"{impostor}: {error}") from None
        if not found.verifies(signature, server_statement(nonce, data, b"")):
            raise BadKey(f"{impostor}: its signature is not of this connection")
        wanted, key = self._server.key, self._options.key
        if wanted is not None and wanted != found:
            raise BadKey(
                f"{label} has the key {found.fingerprint}, expected was {wanted.fingerprint}: another server may be answering in "
                f"its place. If it was set up again on purpose, its key is now '{found}'"
            )
        self.server_key = found
        if key is None:
            return None
        challenge, features = hello.get("challenge"), hello.get("features")
        if not isinstance(challenge, bytes) or not 32 <= len(challenge) <= 64 or not isinstance(features, list) or "proof" not in features:
            raise BadKey(f"{label} takes no proof of a key")
        ip, port = self._address
        statement = client_statement(challenge, key.public.bytes, self._server.name, ip, port, data, b"")
        return pack([key.public.bytes, self._server.name, ip, port, key.sign(statement)])
