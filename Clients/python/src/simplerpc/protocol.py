"""One native connection as its client sees it, without a socket, a clock or a thread: bytes and times go in, bytes and events
come out (Docs/PROTOCOL.md, sections 1, 2, 5 and 6). The blocking client and the one for asyncio are both built around it.

The owner calls `start` once, then `receive` with whatever the socket gave, `tick` when `due` has come, `call`, `cancel` and `ping`
as it likes; after each it sends `output()` and looks at `take_events()`.
"""

import os
from typing import Any, Callable, Optional

from . import errors
from ._calls import Calls
from .errors import ProtocolError, RPCError, Unauthenticated, Unavailable
from .events import Answered, Draining, Ended, Event, Failed, Generation, Pong, Ready
from .foreign import recognise
from .frames import (
    BOUND,
    CALLS_MAX,
    ERROR,
    FRAME_BYTES,
    GENERATION,
    GOAWAY,
    HEADER,
    HELLO,
    NAMES,
    PING,
    PONG,
    PREFACE,
    PROOF,
    REPLY,
)
from .introduction import Introduction
from .keepalive import Keepalive
from .keys import PublicKey
from .options import Options
from .request import Request
from .tls import TLS, NotTrusted
from .topology import Server
from .values import unpack, unpack_values


class Connection(Calls):
    """The state of one connection. `address` is that of the far end, as `Introduction` takes it."""

    def __init__(
        self,
        server: Server,
        options: Options,
        address: tuple[bytes, int] = (b"", 0),
        tls: Optional[TLS] = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._introduction = Introduction(server, options, address, tls is not None, random)
        super().__init__(server, is_open=not self._introduction.proves_keys)
        self._options, self._tls = options, tls
        #: Whose it is: nothing to the connection.
        self.owner: Any = None
        self._keepalive = Keepalive(options)
        self.hello: dict[str, Any] = {}
        self.is_ready = self._hello_came = False
        self._rest = bytearray()
        self._needed = HEADER.size
        self._pings: dict[int, tuple[object, float]] = {}
        #: When the last HELLO or PING was answered, in seconds; None before.
        self.round_trip: Optional[float] = None

    # What the owner does

    def start(self, now: float) -> None:
        """Introduces the client; calls may follow at once."""
        self._now = self._keepalive.last_received = self._opened = now
        self._out += PREFACE
        self._frame(HELLO, 0, self._introduction.hello())

    def output(self) -> bytes:
        """What is to be sent now."""
        if self._tls is not None:
            if self._out:
                data, self._out = self._out, bytearray()
                self._tls.send(bytes(data))
            return self._tls.output()
        if not self._out:
            return b""
        data, self._out = self._out, bytearray()
        return bytes(data)

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def call(self, request: Request, now: float) -> None:
        """Sends a call, or keeps it until it can be sent. An event says what became of it."""
        if not self._is_busy():
            self._keepalive.busy_since = now
        self._now = now
        request.connection = self
        self._submit(request)

    def ping(self, token: object, now: float) -> None:
        """A Pong will say how long the server took."""
        if not self._is_busy():
            self._keepalive.busy_since = now
        self._pings[self._next_id()] = (token, now)
        self._frame(PING, self._last_id)

    @property
    def server_key(self) -> Optional[PublicKey]:
        """What the server has proven to own, where it was asked."""
        return self._introduction.server_key

    @property
    def is_silent(self) -> bool:
        """Whether the server has to answer a PING before it counts as healthy again."""
        return self._keepalive.probe is not None

    @property
    def is_drained(self) -> bool:
        return self.is_draining and not any(self._pending.values())

    def retire(self, error: RPCError) -> None:
        """Sends no more calls here: those that wait go elsewhere, and those that the server has are answered."""
        self.is_draining, self._draining_error = True, error
        for request in self._take_unsent():
            self._events.append(Failed(request, errors.copy(error, executed="no"), True))

    def close(self) -> None:
        """Ends TLS properly; `output` has what remains to be sent."""
        if self._tls is not None:
            self._tls.close()

    # What comes

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Takes what the socket gave, and says what happened."""
        self._now = self._keepalive.last_received = now
        if self.is_closed:
            return []
        try:
            if self._tls is not None:
                data = self._tls.receive(data)
            rest = self._rest
            if rest:
                rest += data
                if len(rest) < self._needed:
                    return self.take_events()
                data, self._rest = bytes(rest), bytearray()
            if not self._hello_came:
                self._recognise(data)
            at, size = 0, len(data)
            self._needed = HEADER.size
            while size - at >= HEADER.size:
                length, kind, _, status, call_id = HEADER.unpack_from(data, at)
                if length > self._options.frame_bytes:
                    raise ValueError(f"a frame of {length} bytes, the limit is {self._options.frame_bytes}")
                end = at + HEADER.size + length
                if end > size:
                    self._needed = end - at
                    break
                self._received(kind, status, call_id, data[at + HEADER.size : end])
                if self.is_closed:
                    return self.take_events()
                at = end
            if at < size:
                self._rest = bytearray(data[at:])
            if self._queue:
                self._send_queued()
        except ValueError as error:
            if self._hello_came:
                self.end(ProtocolError(f"{self.server.label} broke the protocol: {error}", executed="maybe"))
            else:
                self.end(ProtocolError(f"{self.server.label} does not speak this protocol: {error}"))
        except NotTrusted as error:
            self.end(Unauthenticated(f"{self.server.label} is not trusted: {error}"), never_began=False)
        return self.take_events()

    def end_of_input(self) -> list[Event]:
        """The server has ended the connection."""
        if self._tls is not None and not self._tls.is_open:
            reason = f"{self.server.label} ended the connection within the TLS handshake"
        else:
            reason = f"connection closed by {self.server.label}"
        self.end(self._draining_error if self.is_draining else Unavailable(reason, executed="maybe"))
        return self.take_events()

    def end(self, error: RPCError, never_began: bool = True) -> None:
        """The connection has ended: the calls that the server may have begun fail with the error, and the others may go
        elsewhere."""
        if self.is_closed:
            return
        self.is_closed = True
        sent = [request for request in self._pending.values() if request is not None]
        unsent = self._take_unsent()
        self._pending.clear()
        self._draining_error = error
        for request in sent:
            request.call_id = 0
            self._events.append(Failed(request, errors.copy(error, executed="maybe" if error.executed != "yes" else "yes")))
        for request in unsent:
            self._events.append(Failed(request, errors.copy(error, executed="no"), never_began and self.is_ready))
        self._events.append(Ended(error))

    # Keepalive

    def _is_busy(self) -> bool:
        return bool(self._pending or self._bindings.are_on_the_way or self._pings or self._queue)

    def due(self) -> Optional[float]:
        """When `tick` is to be called, unless something comes before; None for never."""
        return self._keepalive.due(self._is_busy()) if self.is_ready and not self.is_closed else None

    def tick(self, now: float) -> list[Event]:
        """Asks a silent server for a sign of life, or gives it up."""
        keepalive, due = self._keepalive, self.due()
        if due is None or now < due:
            return self.take_events()
        if keepalive.probe is None:
            keepalive.probe = (self._next_id(), now)
            self._frame(PING, self._last_id)
        elif keepalive.last_received > keepalive.probe[1]:
            keepalive.probe = None  # whatever came since is a sign of life
            return self.tick(now)
        else:
            seconds = keepalive.answer_max(self._is_busy())
            self.end(Unavailable(f"{self.server.label} has stopped answering: no PONG within {seconds:g} s", executed="maybe"))
        return self.take_events()

    # Receiving

    def _received(self, kind: int, status: int, call_id: int, payload: bytes) -> None:
        if kind == REPLY and self._hello_came:
            request = self._answer(call_id, "a REPLY")
            if request is None:
                return
            try:
                self._events.append(Answered(request, unpack_values(payload)))
            except ValueError as error:
                text = f"the result of {request.name} from {self.server.label} cannot be read: {error}"
                self._events.append(Failed(request, ProtocolError(text, executed="yes")))
            return
        if not self._hello_came and kind not in (HELLO, ERROR, GOAWAY):
            name = NAMES[kind - 1] if 0 < kind <= len(NAMES) else f"frame of kind {kind}"
            raise ValueError(f"a {name} came before the HELLO")
        if kind == ERROR:
            self._refused(call_id, errors.from_fields(unpack(payload), status))
        elif kind == BOUND:
            self._bound(call_id, unpack(payload))
        elif kind == HELLO:
            self._introduced(unpack(payload))
        elif kind == PING:
            self._frame(PONG, call_id)
        elif kind == PONG:
            self._ponged(call_id)
        elif kind == GOAWAY:
            self._going(call_id, unpack(payload))
        elif kind == GENERATION:
            self._bindings.forget_all()
            self._events.append(Generation(call_id))
        elif kind == PROOF:
            if not self._hello_came or self.is_ready or payload:
                raise ValueError("a PROOF that nobody waits for")
            self._become_ready()
        else:
            raise ValueError(f"a server does not send {NAMES[kind - 1]}" if 0 < kind <= 12 else f"a frame of the unknown kind {kind}")

    def _refused(self, call_id: int, error: RPCError) -> None:
        error.server = self.server.name
        if call_id:
            self._failed(call_id, error)
            return
        error.message = f"{self.server.label}: {error.message}"
        error.args = (error.message,)
        self.end(error)

    def _introduced(self, fields: Any) -> None:
        if self._hello_came:
            raise ValueError("a second HELLO")
        self.hello = hello = self._introduction.check(fields)
        self._hello_came, self._is_open = True, False
        self._frame_bytes = hello.get("frame_bytes", FRAME_BYTES)
        self._calls_max = max(1, hello.get("calls_in_flight", CALLS_MAX))
        if hello.get("ping_ms"):
            self._keepalive.idle_silence = hello["ping_ms"] / 1000
        self.round_trip = self._now - self._opened
        try:
            proof = self._introduction.answer(hello)
        except Unauthenticated as error:
            self.end(error)
            return
        if proof is not None:
            self._frame(PROOF, 0, proof)
        elif not self.is_ready:
            self._become_ready()

    def _become_ready(self) -> None:
        self.is_ready = self._is_open = True
        self._events.append(Ready())
        self._send_queued()

    def _ponged(self, call_id: int) -> None:
        probe = self._keepalive.probe
        if probe is not None and probe[0] == call_id:
            self.round_trip = self._now - probe[1]
            self._keepalive.probe = None
        found = self._pings.pop(call_id, None)
        if found is not None:
            self.round_trip = self._now - found[1]
            self._events.append(Pong(found[0], self.round_trip))

    def _going(self, call_id: int, fields: Any) -> None:
        if not isinstance(fields, list) or len(fields) < 2 or not isinstance(fields[0], str):
            raise ValueError("a GOAWAY that is not laid out as one")
        reason = "" if not fields[0] or fields[0].endswith("shutting down") else f": {fields[0]:.200}"
        if not self.is_draining:
            self._draining_error = Unavailable(f"{self.server.label} is shutting down{reason}")
        self.is_draining = True
        self._line = min(self._line, call_id)
        elsewhere = [id for id in self._pending if id > self._line]
        for id in elsewhere:
            request = self._pending.pop(id)
            if request is not None:
                request.call_id = 0
                self._events.append(Failed(request, errors.copy(self._draining_error), True))
        for request in self._take_unsent():
            self._events.append(Failed(request, errors.copy(self._draining_error), True))
        self._events.append(Draining(self._draining_error))

    def _recognise(self, data: bytes) -> None:
        found = recognise(data)
        if found is not None:
            self.end(ProtocolError(f"{self.server.label} is not an rpc-server: {found}; check its address and port"))
