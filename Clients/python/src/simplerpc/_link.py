"""A connection of the asyncio client."""

import asyncio
import time
from typing import TYPE_CHECKING, Optional, cast

from ._call import Call
from ._sockets import plain_reason
from .errors import Unauthenticated, Unavailable
from .events import Answered, Draining, Ended, Event, Failed, Generation, Pong, Ready
from .protocol import Connection
from .tls import NotTrusted
from .topology import ip_bytes

if TYPE_CHECKING:
    from ._channel import Channel


class Link(asyncio.Protocol):
    """A socket around the state of a connection."""

    def __init__(self, channel: "Channel") -> None:
        self.channel, self._loop = channel, channel.core.loop
        self.connection: Optional[Connection] = None
        self._transport: Optional[asyncio.Transport] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._timer_at = 0.0
        self._keepalive = channel.core.settings.options.keepalive or float("inf")
        self._flushing = False
        self._lost = False
        #: When it was ready.
        self.opened = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Loops of others have transports of their own kind.
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        # What waits here is bounded by the calls in flight instead.
        peer = transport.get_extra_info("peername")
        core, server = self.channel.core, self.channel.server
        if core.is_closed or self.channel.is_retired:
            transport.abort()
            return
        try:
            tls = core.settings.contexts.filter(server) if server.secure else None
            self.connection = Connection(server, core.settings.options, (ip_bytes(peer[0]), peer[1]), tls)
        except (ValueError, OSError, NotTrusted) as error:
            transport.abort()
            self.channel.attempt_ended(Unauthenticated(f"{error}: {server.label}"))
            return
        self.connection.owner = self
        self.connection.start(time.monotonic())
        self.channel.connected(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.connection is not None:
            self._handle(self.connection.receive(data, time.monotonic()))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, reason: Optional[Exception]) -> None:
        self._lost = True
        self._stop_timer()
        if self.connection is None:
            return
        if reason is not None:
            text = f"{plain_reason(reason)}: {self.channel.server.label}"
            self.connection.end(Unavailable(text, executed="maybe"))
            self._handle(self.connection.take_events())
        else:
            self._handle(self.connection.end_of_input())

    def call(self, call: Call) -> None:
        assert self.connection is not None
        now = time.monotonic()
        self.connection.call(call, now)
        if self._timer_at > now + self._keepalive:
            # It was set while the server owed nothing.
            self._stop_timer()
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush_soon(self) -> None:
        """Once for all that this turn of the loop sends."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._flushing = False
        if self.connection is None or self._transport is None:
            return
        data = self.connection.output()
        if data and not self._lost:
            self._transport.write(data)
        events = self.connection.take_events()
        if events:
            self._handle(events)
        elif self.connection.is_drained:
            self.close()
        elif self._timer is None:
            self._watch()

    def _watch(self) -> None:
        """Looks after the server when it has been silent for long; one timer that is moved only once it has come."""
        due = self.connection.due() if self.connection is not None else None
        if due is not None and not self._lost:
            self._timer_at = due
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._fired)

    def _stop_timer(self) -> None:
        self._timer_at = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._timer = None
        if self.connection is not None:
            self._handle(self.connection.tick(time.monotonic()))

    def _handle(self, events: list[Event]) -> None:
        assert self.connection is not None
        core = self.channel.core
        while events:
            for event in events:
                if isinstance(event, Answered):
                    core.finish(event.request, event.values, None)  # type: ignore[arg-type]
                elif isinstance(event, Failed):
                    core.attempt_failed(event.request, event.error, event.never_began)  # type: ignore[arg-type]
                else:
                    self._happened(event)
            events = self.connection.take_events()
        data = self.connection.output()
        if data and self._transport is not None and not self._lost:
            self._transport.write(data)
        if self.connection.is_drained:
            self.close()
        elif self._timer is None:
            self._watch()

    def _happened(self, event: Event) -> None:
        if isinstance(event, Ready):
            self.opened = time.monotonic()
            self.channel.ready(self)
        elif isinstance(event, Generation):
            self.channel.core.generation_changed(self.channel.server)
        elif isinstance(event, Draining):
            self.channel.draining(self, event.error)
        elif isinstance(event, Ended):
            self.close()
            self.channel.ended(self, event.error)
        elif isinstance(event, Pong) and callable(event.token):
            event.token(event.seconds)

    def close(self) -> None:
        self._stop_timer()
        if self._transport is not None and self.connection is not None and not self._lost:
            self.connection.close()
            data = self.connection.output()
            if data:
                self._transport.write(data)
            # A server that reads nothing would keep it for ever.
            if (self.connection.is_closed or self.channel.core.is_closed) and self._transport.get_write_buffer_size() > 0:
                self._transport.abort()
            else:
                self._transport.close()
        self.channel.core.links.discard(self)
