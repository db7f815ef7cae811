"""A call on its way through the asyncio client."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from .errors import RPCError
from .policy import History
from .request import Name, Request

if TYPE_CHECKING:
    from ._channel import Channel


class Call(Request):
    """A call until its caller has the answer."""

    __slots__ = ("history", "server", "channel", "timer", "timeout", "done", "asked_again", "deliver")

    def __init__(
        self,
        binding: Name,
        body: bytes,
        metadata: bytes,
        deadline: Optional[float],
        history: History,
        server: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> None:
        super().__init__(binding, body, metadata, deadline)
        self.history = history
        #: The one server that it must go to, where it must.
        self.server, self.timeout = server, timeout
        self.channel: Optional["Channel"] = None
        self.timer: Optional[asyncio.TimerHandle] = None
        self.done = False
        #: Whether the servers were asked again what they provide, since none was known to provide its service.
        self.asked_again = False
        #: Told once: values, or why there are none.
        self.deliver: Callable[[Optional[tuple[Any, ...]], Optional[RPCError]], None] = _nobody

    @property
    def left(self) -> Optional[float]:
        return None if self.deadline is None else self.deadline - time.monotonic()


def _nobody(values: Optional[tuple[Any, ...]], error: Optional[RPCError]) -> None:
    pass
