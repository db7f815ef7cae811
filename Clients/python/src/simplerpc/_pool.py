"""The blocking client's side of one server."""

import random
import socket
import struct
import threading
import time
import weakref
from typing import TYPE_CHECKING, Optional

from ._pooled import AttemptFailed, Pooled
from ._prepare import Settings
from ._sockets import from_source, plain_reason
from .errors import Cancelled, RPCError, Unauthenticated, Unavailable
from .policy import RECONNECT
from .protocol import Connection
from .tls import NotTrusted
from .topology import Server, ip_bytes

if TYPE_CHECKING:
    from .blocking import Client

#: Seconds after which an unused connection is not used again.
IDLE_MAX = 300.0


class Pool:
    """The connections to one server that threads wait at, and how the server stands."""

    def __init__(self, client: "Client", server: Server) -> None:
        # A client that nobody has any more is closed: its pools keep it from that as little as its thread does.
        self.client: Client = weakref.proxy(client)
        self.server = server
        self._lock = threading.Lock()
        self._idle: list[Pooled] = []
        self.busy: set[Pooled] = set()
        self._opening = 0
        self._failures = 0
        self._down_until = 0.0
        self._down_error: Optional[RPCError] = None
        #: Whether it is down since it goes away: what waits for it has not been tried.
        self._drains = self._retired = False

    @property
    def pause(self) -> float:
        return max(0.0, self._down_until - time.monotonic())

    def rank(self) -> tuple[int, int]:
        return (1 if self._down_until and self.pause > 0 else 0), len(self.busy)

    def take(self, patience: float) -> Optional[Pooled]:
        """A connection, or None where as many are busy as may be. Raises AttemptFailed."""
        while True:
            with self._lock:
                if self._idle:
                    found = self._idle.pop()
                    self.busy.add(found)
                elif len(self.busy) + self._opening >= self.client._pool_size:
                    return None
                else:
                    self._opening += 1
                    break
            if time.monotonic() - found.used < IDLE_MAX and found.is_good():
                return found
            self.drop(found)
        try:
            if self.pause > 0 and self._down_error is not None:
                error = self._down_error
                raise AttemptFailed(type(error)(error.message, executed="no", server=self.server.name), self._drains)
            opened = self._open(patience)
            with self._lock:
                self.busy.add(opened)
            if self.client._closed:
                self.drop(opened)
                raise AttemptFailed(Cancelled("the client was closed", executed="no"))
            return opened
        finally:
            with self._lock:
                self._opening -= 1

    def _open(self, patience: float) -> Pooled:
        server, made = self.server, self.client._settings
        try:
            opened = _connect(server, made, patience)
        except (socket.timeout, TimeoutError):
            raise self._failed(Unavailable(f"no connection to {server.label} within {patience:g} s")) from None
        except (OSError, UnicodeError) as error:
            raise self._failed(Unavailable(f"{plain_reason(error)}: {server.label}")) from None
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A call without a deadline sleeps in one system call, until it is time to look after the server.
            seconds = made.options.keepalive
            timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            peer = opened.getpeername()
            tls = made.contexts.filter(server) if server.secure else None
            connection = Connection(server, made.options, (ip_bytes(peer[0]), peer[1]), tls)
        except (ValueError, NotTrusted) as error:
            opened.close()
            raise self._failed(Unauthenticated(f"{error}: {server.label}")) from None
        except OSError as error:
            opened.close()
            raise self._failed(Unavailable(f"{plain_reason(error)}: {server.label}")) from None
        except BaseException:
            opened.close()
            raise
        connection.start(time.monotonic())
        return Pooled(self, opened, connection)

    def _failed(self, error: RPCError) -> AttemptFailed:
        error.server = self.server.name
        self._go_down(error)
        return AttemptFailed(error)

    def _go_down(self, error: RPCError, drains: bool = False) -> None:
        with self._lock:
            self._failures += 1
            self._down_error, self._drains = error, drains
            self._down_until = time.monotonic() + RECONNECT.pause(self._failures, random.random())

    def give_back(self, pooled: Pooled) -> None:
        """It is not used any more, for now or for ever."""
        connection = pooled.connection
        if connection.is_closed or connection.is_draining or pooled._unsent or self.client._closed or self._retired:
            closed = self.client._closed or self._retired
            if not closed and (connection.is_draining or connection.is_silent or not connection.answers):
                if connection.answers and not connection.is_silent:
                    self._failures = 0  # it was a good one
                self._go_down(connection._draining_error, drains=connection.is_draining)
            self.drop(pooled)
            return
        pooled.used = time.monotonic()
        with self._lock:
            if self._failures:
                self._failures, self._down_until = 0, 0.0
            self.busy.discard(pooled)
            self._idle.append(pooled)

    def drop(self, pooled: Pooled) -> None:
        with self._lock:
            self.busy.discard(pooled)
        pooled.close()

    def retire(self) -> list[Pooled]:
        """Closes what nobody uses; the rest follows when its threads are done. Returns that."""
        with self._lock:
            self._retired = True
            idle, self._idle = self._idle, []
            busy = list(self.busy)
        for pooled in idle:
            pooled.close()
        return busy

    def close(self) -> None:
        for pooled in self.retire():  # the threads that wait there find the end, and close them
            try:
                pooled.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forget(self) -> None:
        """In a forked process: closes its copies of the descriptors, which ends nothing for the parent."""
        for pooled in [*self._idle, *self.busy]:
            pooled.socket.close()


def _connect(server: Server, made: Settings, timeout: float) -> socket.socket:
    source = made.source
    if source is None:
        opened = socket.create_connection((server.host, server.port), timeout)
    else:
        family, _, _, _, address = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)[0]
        opened = from_source(source, family)
        try:
            opened.settimeout(timeout)
            opened.connect(address)
        except BaseException:
            opened.close()
            raise
    opened.settimeout(None)
    return opened
