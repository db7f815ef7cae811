"""The calls of one native connection: those that wait, those that a BIND is on its way for, those that the server has. The layer of
`protocol.Connection` that knows nothing of introductions, silence and ends."""

from collections import deque
from typing import Any, Optional

from . import errors
from .bindings import Bindings
from .errors import DeadlineExceeded, ResourceExhausted, RPCError, Unavailable
from .events import Event, Failed
from .frames import (
    BIND,
    CALL,
    CALL_HEAD,
    CALLS_MAX,
    CANCEL,
    FRAME_BYTES,
    HAS_METADATA,
    HEADER,
    REBINDS_MAX,
    TIMEOUT_MAX,
    WAS_SENT_BEFORE,
)
from .request import Binding, Name, Request
from .topology import Server
from .values import pack


class Calls:
    """What is sent goes to `_out`, what happened to `_events`."""

    def __init__(self, server: Server, is_open: bool) -> None:
        self.server = server
        self.is_draining = self.is_closed = False
        #: Whether calls may be sent by now.
        self._is_open = is_open
        self._out = bytearray()
        self._events: list[Event] = []
        self._last_id = 0
        self._line = 1 << 64  # ids above it belong to calls that the server did not take
        self._pending: dict[int, Optional[Request]] = {}  # None: given up, its answer is to be passed over
        self._bindings = Bindings()
        self._queue: deque[Request] = deque()  # calls that wait for the HELLO or for room
        self._frame_bytes, self._calls_max = FRAME_BYTES, CALLS_MAX
        self._draining_error: RPCError = Unavailable(f"{server.label} is shutting down")
        self._now = 0.0
        self.answers = 0

    def cancel(self, request: Request) -> bool:
        """Gives a call up: no event will speak of it. Returns whether the server may have begun it."""
        request.connection = None
        if request.call_id:
            if self._pending.get(request.call_id) is request:
                self._pending[request.call_id] = None
                self._frame(CANCEL, request.call_id)
            return True
        if request in self._queue:
            self._queue.remove(request)
            return False
        self._bindings.withdraw(request)
        return False

    @property
    def load(self) -> int:
        """Calls that were given to it and are not over."""
        return len(self._pending) + self._bindings.waiting + len(self._queue)

    # Sending

    def _submit(self, request: Request) -> None:
        request.rebinds = 0
        if self.is_closed or self.is_draining:
            self._events.append(Failed(request, errors.copy(self._draining_error), True))
        elif self._queue or not self._takes_calls():
            self._queue.append(request)
        else:
            self._send(request)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _frame(self, kind: int, call_id: int, payload: bytes = b"") -> None:
        self._out += HEADER.pack(len(payload), kind, 0, 0, call_id)
        self._out += payload

    def _takes_calls(self) -> bool:
        return self._is_open and len(self._pending) + self._bindings.waiting < self._calls_max

    def _send_queued(self) -> None:
        while self._queue and self._takes_calls() and not self.is_draining:
            self._send(self._queue.popleft())

    def _send(self, request: Request) -> None:
        binding = self._bindings.get(request.binding)
        if binding is None:
            self._bind(request.binding, [request])
        elif binding.id is None:
            self._bindings.wait(binding, request)
        else:
            self._send_bound(request, binding)

    def _bind(self, name: Name, requests: list[Request]) -> None:
        self._bindings.begin(name, self._next_id(), requests)
        self._frame(BIND, self._last_id, pack(list(name)))

    def _send_bound(self, request: Request, binding: Binding) -> None:
        microseconds = 0
        if request.deadline is not None:
            left = request.deadline - self._now
            if left <= 0:
                self._events.append(Failed(request, DeadlineExceeded("its time was over before it was sent", executed="no")))
                return
            microseconds = min(TIMEOUT_MAX, max(1, int(left * 1_000_000)))
        body, metadata = request.body, request.metadata
        length = CALL_HEAD.size + len(metadata) + len(body)
        if length > self._frame_bytes:
            text = f"a call of {length} bytes is larger than the limit of {self._frame_bytes} bytes of {self.server.label}"
            error = ResourceExhausted(text, actual=length, limit=self._frame_bytes, unit="bytes")
            self._events.append(Failed(request, error))
            return
        flags = (HAS_METADATA if metadata else 0) | (WAS_SENT_BEFORE if request.repeated else 0)
        call_id = self._last_id = self._last_id + 1
        request.call_id, request.bound, request.idempotent = call_id, binding, binding.idempotent
        self._pending[call_id] = request
        out = self._out
        out += HEADER.pack(length, CALL, flags, 0, call_id)
        out += CALL_HEAD.pack(binding.id or 0, microseconds)
        if metadata:
            out += metadata
        out += body

    # Answers

    def _answer(self, call_id: int, what: str) -> Optional[Request]:
        """The call that is answered; None where nobody waits for it any more."""
        try:
            request = self._pending.pop(call_id)
        except KeyError:
            # The server may still answer what was given to another one when it went away.
            if not self._line < call_id <= self._last_id:
                raise ValueError(f"{what} to no call (id {call_id})") from None
            return None
        self.answers += 1
        if request is not None:
            request.call_id = 0
        return request

    def _failed(self, call_id: int, error: RPCError) -> None:
        """An ERROR came for a call or a BIND."""
        found = self._bindings.failed(call_id)
        if found is not None:
            name, first, later = found
            for request in first:
                self._events.append(Failed(request, errors.copy(error)))
            # Those that came later may have been made after a deployment that the BIND came before.
            binding = self._bindings.get(name)
            if later and binding is None:
                self._bind(name, later)
            elif binding is not None:
                for request in later:
                    self._bindings.wait(binding, request)
            return
        answered = self._answer(call_id, "an ERROR")
        if answered is None:
            return
        if isinstance(error, errors.StaleBinding):
            self._stale(answered)
            return
        # What a server refuses since it goes away is nobody's attempt.
        refused = self.is_draining and isinstance(error, Unavailable) and error.executed == "no"
        self._events.append(Failed(answered, error, refused))

    def _stale(self, request: Request) -> None:
        self._bindings.forget(request.binding, request.bound)
        request.rebinds += 1
        if self.is_draining:
            self._events.append(Failed(request, errors.copy(self._draining_error), True))
        elif request.rebinds > REBINDS_MAX:
            text = f"{self.server.label} changed its procedures {request.rebinds} times during the call"
            self._events.append(Failed(request, Unavailable(text)))
        else:
            self._send(request)

    def _bound(self, call_id: int, fields: Any) -> None:
        if not isinstance(fields, list) or len(fields) < 4 or type(fields[0]) is not int or not 0 <= fields[0] < 1 << 32:
            raise ValueError("a BOUND that is not laid out as one")
        found = self._bindings.succeeded(call_id, fields[0], fields[3] is True)
        if found is None:
            raise ValueError(f"a BOUND of no BIND (id {call_id})")
        binding, requests = found
        for request in requests:
            self._send_bound(request, binding)
        if not self._bindings.waiting:
            self._send_queued()

    def _take_unsent(self) -> list[Request]:
        requests = [*self._bindings.take_waiting(), *self._queue]
        self._queue.clear()
        return requests
