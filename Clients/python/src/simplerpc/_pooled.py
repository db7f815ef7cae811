"""A connection of the blocking client that one thread uses at a time."""

import select
import socket
import time
from typing import TYPE_CHECKING, Any, Optional

from ._sockets import READ_BYTES, plain_reason
from .errors import DeadlineExceeded, RPCError, Unavailable
from .events import Answered, Event, Failed, Generation
from .protocol import Connection
from .request import Request

if TYPE_CHECKING:
    from ._pool import Pool

_DONTWAIT = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class AttemptFailed(Exception):
    """One attempt of a call came to nothing."""

    def __init__(self, error: RPCError, never_began: bool = False) -> None:
        super().__init__(error)
        self.error, self.never_began = error, never_began


class Pooled:
    """A connection that one thread uses at a time."""

    __slots__ = ("pool", "socket", "connection", "used", "_poll", "_unsent")

    def __init__(self, pool: "Pool", opened: socket.socket, connection: Connection) -> None:
        self.pool, self.socket, self.connection = pool, opened, connection
        self._unsent = b""
        self.used = 0.0
        self._poll = select.poll()
        self._poll.register(opened, select.POLLIN)

    def exchange(self, request: Request, patience: float, timeout: Optional[float]) -> tuple[Any, ...]:
        """Sends a call and waits for its answer. `patience` is how long the server may take to introduce itself."""
        connection, now = self.connection, time.monotonic()
        connection.call(request, now)
        hello_by = None if connection.is_ready else now + patience
        while True:
            events = self._step(request.deadline, hello_by)
            for event in events:
                kind = type(event)
                if kind is Answered:
                    return event.values  # type: ignore[union-attr]
                if kind is Failed:
                    raise AttemptFailed(event.error, event.never_began)  # type: ignore[union-attr]
                if kind is Generation:
                    self.pool.client._generation_changed(self.pool.server)
            if hello_by is not None:
                if connection.is_ready:
                    hello_by = None
                elif time.monotonic() >= hello_by:
                    connection.end(Unavailable(f"no HELLO from {self.pool.server.label} within {patience:g} s"))
                    continue
            if request.deadline is not None and time.monotonic() >= request.deadline:
                raise AttemptFailed(self.give_up(request, timeout))

    def give_up(self, request: Request, timeout: Optional[float]) -> RPCError:
        """Its time is over; the server is told, and what it still answers is passed over."""
        begun = self.connection.cancel(request)
        self._push()
        text = f"no answer within {timeout or 0:g} s" + ("; it may have been executed" if begun else "")
        return DeadlineExceeded(text, executed="maybe" if begun else "no")

    def _push(self) -> None:
        """Sends what the socket takes now."""
        data = self.connection.output()
        if self._unsent:
            data = self._unsent + data
        if not data:
            return
        try:
            sent = self.socket.send(data, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._unsent = b""
            self._lost(error)
            return
        self._unsent = data[sent:]

    def _lost(self, error: OSError) -> None:
        self.connection.end(Unavailable(f"{plain_reason(error)}: {self.pool.server.label}", executed="maybe"))

    def _step(self, deadline: Optional[float], hello_by: Optional[float]) -> list[Event]:
        """Sends what there is, waits until something comes or it is time for something, and says what happened."""
        connection = self.connection
        self._push()
        events = connection.take_events()
        if events:
            return events
        if deadline is not None or hello_by is not None or self._unsent:
            due = connection.due()
            until = min(each for each in (deadline, hello_by, due, time.monotonic() + 3600) if each is not None)
            if self._unsent:
                self._poll.modify(self.socket, select.POLLIN | select.POLLOUT)
            try:
                found = self._poll.poll(max(0.0, (until - time.monotonic()) * 1000) + 0.999)
            finally:
                if self._unsent:
                    self._poll.modify(self.socket, select.POLLIN)
            now = time.monotonic()
            if not found:
                return connection.tick(now)
            if not found[0][1] & ~select.POLLOUT:
                return []
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:  # the time that the kernel was told has gone by
            return connection.tick(time.monotonic())
        except OSError as error:
            self._lost(error)
            return connection.take_events()
        if not data:
            return connection.end_of_input()
        return connection.receive(data, time.monotonic())

    def is_good(self) -> bool:
        """Whether it can be used again; reads what came meanwhile."""
        connection = self.connection
        while True:
            try:
                data = self.socket.recv(READ_BYTES, _DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                return False
            if not data:
                return False
            for event in connection.receive(data, time.monotonic()):
                if isinstance(event, Generation):
                    self.pool.client._generation_changed(self.pool.server)
        self._push()
        return not connection.is_closed and not connection.is_draining and not self._unsent

    def close(self) -> None:
        self.connection.close()
        self._push()
        self.socket.close()
