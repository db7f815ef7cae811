"""The asyncio client's side of one server."""

import asyncio
import random
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Optional

from ._call import Call
from ._link import Link
from ._sockets import ATTEMPT_DELAY, from_source, plain_reason
from .errors import ResourceExhausted, RPCError, Unavailable
from .policy import RECONNECT
from .topology import Server

if TYPE_CHECKING:
    from ._core import Core

#: Calls that wait for the connection to one server.
WAITING_MAX = 65536


class Channel:
    """A client's side of one server: connects when calls want it to, paces attempts after failures, and moves on to a new
    connection when the server goes away."""

    def __init__(self, core: "Core", server: Server) -> None:
        self.core, self.server = core, server
        self.link: Optional[Link] = None
        self._connecting: Optional["asyncio.Task[None]"] = None
        self._slow: Optional[asyncio.TimerHandle] = None
        self.waiting: deque[Call] = deque()
        self._failures = 0
        self._down_until = 0.0
        self._down_error: Optional[RPCError] = None
        #: Whether it is down since it goes away: what waits for it has not been tried.
        self._drains = False
        self.is_retired = False

    @property
    def is_ready(self) -> bool:
        return self.link is not None and self.link.connection is not None and self.link.connection.is_ready

    def rank(self) -> tuple[int, int]:
        """How healthy the server is, best lowest, and how many calls it has."""
        load = len(self.waiting)
        if self.link is not None and self.link.connection is not None:
            connection = self.link.connection
            if connection.is_ready:
                return (1 if connection.is_silent else 0), load + connection.load
            return 2, load + connection.load
        if self._connecting is not None:
            return 2, load
        return (4 if self.pause > 0 else 3), load

    @property
    def pause(self) -> float:
        """Seconds until another attempt to connect is due."""
        return max(0.0, self._down_until - time.monotonic())

    def accept(self, call: Call) -> None:
        call.channel = self
        if self.link is not None and self.link.connection is not None:
            self.link.call(call)
        elif self.pause > 0 and self._down_error is not None and self._connecting is None:
            error = self._down_error
            again = type(error)(error.message, executed="no", exception=error.exception, status=error.status)
            self.core.attempt_failed(call, again, self._drains)
        elif len(self.waiting) >= WAITING_MAX:
            text = f"{WAITING_MAX} calls wait for {self.server.label}"
            error = ResourceExhausted(text, actual=WAITING_MAX + 1, limit=WAITING_MAX, unit="calls")
            self.core.attempt_failed(call, error)
        else:
            self.waiting.append(call)
            self.connect()

    def connect(self) -> None:
        """Connects, unless that is so already or under way."""
        if self.link is None and self._connecting is None:
            self._connecting = self.core.loop.create_task(self._connect())
            self._slow = self.core.loop.call_later(ATTEMPT_DELAY, self.core.connect_alternatives, self)

    async def _connect(self) -> None:
        options = self.core.settings.options
        link = Link(self)
        try:
            await asyncio.wait_for(self._open(link), options.connect_timeout)
        except asyncio.TimeoutError:
            self.attempt_ended(Unavailable(f"no connection to {self.server.label} within {options.connect_timeout:g} s"))
            return
        except (OSError, UnicodeError) as error:
            self.attempt_ended(Unavailable(f"{plain_reason(error)}: {self.server.label}"))

    def connected(self, link: Link) -> None:
        """There is a connection; what the server says of itself may come at once."""
        self._connecting = None
        self.link = link
        self.core.links.add(link)
        self.core.loop.call_later(self.core.settings.options.connect_timeout, self._no_hello, link)
        waiting, self.waiting = self.waiting, deque()
        for call in waiting:
            link.call(call)

    async def _open(self, link: Link) -> None:
        loop, server, source = self.core.loop, self.server, self.core.settings.source
        if source is None:
            # Not every loop can try several addresses side by side (RFC 8305).
            own = {"happy_eyeballs_delay": ATTEMPT_DELAY} if isinstance(loop, asyncio.BaseEventLoop) else {}
            await loop.create_connection(lambda: link, server.host, server.port, **own)  # type: ignore[call-overload]
            return
        found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        opened = from_source(source, found[0][0])
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, found[0][4])
            await loop.create_connection(lambda: link, sock=opened)
        except BaseException:
            opened.close()
            raise

    def _no_hello(self, link: Link) -> None:
        if self.link is link and link.connection is not None and not link.connection.is_ready:
            seconds = self.core.settings.options.connect_timeout
            link.connection.end(Unavailable(f"no HELLO from {self.server.label} within {seconds:g} s"), never_began=False)
            link._handle(link.connection.take_events())

    def attempt_ended(self, error: RPCError) -> None:
        """An attempt to connect came to nothing."""
        self._connecting = None
        self._stop_slow()
        self._failures += 1
        self._go_down(error)
        waiting, self.waiting = self.waiting, deque()
        for call in waiting:
            self.core.attempt_failed(call, type(error)(error.message, executed="no"))

    def _go_down(self, error: RPCError, drains: bool = False) -> None:
        self._down_error, self._drains = error, drains
        self._down_until = time.monotonic() + RECONNECT.pause(self._failures, random.random())

    def _stop_slow(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def ready(self, link: Link) -> None:
        self._stop_slow()
        if self.link is link:
            self.core.channel_is_ready(self)

    def draining(self, link: Link, error: RPCError) -> None:
        """The next call opens a new connection; a short pause has callers try another provider first."""
        if self.link is link:
            self.link = None
            served = link.connection is not None and link.connection.answers
            self._failures = 1 if served else self._failures + 1
            self._go_down(error, drains=True)

    def ended(self, link: Link, error: RPCError) -> None:
        if self.link is not link:
            return
        self.link = None
        self._stop_slow()
        connection = link.connection
        stopped = connection is not None and connection.is_silent
        # One that served was a good connection: the next attempt may follow at once.
        if connection is not None and connection.is_ready and not stopped and (connection.answers or time.monotonic() - link.opened > 1):
            self._failures, self._down_until = 0, 0.0
        else:
            self._failures += 1
            self._go_down(error)

    def retire(self) -> None:
        """The network has this server no longer, or at another address."""
        error = Unavailable(f"{self.server.label} was removed from the network")
        link, self.link, self.is_retired = self.link, None, True
        self._down_error, self._down_until = error, float("inf")
        self._stop_slow()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        waiting, self.waiting = self.waiting, deque()
        for call in waiting:
            self.core.attempt_failed(call, type(error)(error.message), never_began=True)
        if link is not None and link.connection is not None:
            link.connection.retire(error)
            link.flush_soon()

    def close(self, error: RPCError) -> None:
        self._stop_slow()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        waiting, self.waiting = self.waiting, deque()
        for call in waiting:
            self.core.finish(call, None, type(error)(error.message, executed="no"))
