"""The thread of a blocking client, for calls that nobody waits for."""

import asyncio
import os
import sys
import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, Callable, Optional

from ._call import Call
from ._core import Core
from ._prepare import Settings, plain
from .errors import RPCError, Unavailable
from .topology import Topology

if TYPE_CHECKING:
    from .blocking import Client


class Started(Future):  # type: ignore[type-arg]
    """The answer to a call that was started. `cancel` gives it up, on the server too."""

    _client: "Client"
    _call: Call

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        engine = self._client._engine
        if engine is not None and engine.process == os.getpid():
            engine.post(engine.core.cancel, self._call)
        return True

    def result(self, timeout: Optional[float] = None) -> Any:
        self._check()
        return super().result(timeout)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        self._check()
        return super().exception(timeout)

    def _check(self) -> None:
        if self.done():
            return
        engine = self._client._engine
        if engine is None or engine.process != os.getpid():
            raise Unavailable("this call belongs to the process that forked", executed="maybe")
        if threading.current_thread() is engine.thread:
            raise RuntimeError("a callback runs where answers are read, so it cannot wait for one: use start()")

    def _settle(self, values: Optional[tuple[Any, ...]], error: Optional[RPCError]) -> None:
        """Takes the first answer; one that comes after a cancellation is passed over."""
        try:
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(plain(values or ()))
        except InvalidStateError:
            pass
        except BaseException as problem:  # of a callback, such as sys.exit(): the answers of others must go on
            sys.excepthook(type(problem), problem, problem.__traceback__)


class Engine:
    """The thread of a client, for calls that nobody waits for."""

    def __init__(self, made: Settings, on_topology: Callable[[Topology], None]) -> None:
        self.process = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.core = Core(made, self.loop)
        self.core.on_topology = on_topology
        self._posted: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._is_posted = False
        self.thread = threading.Thread(target=self._run, name="simplerpc", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(asyncio.sleep(0))
        finally:
            self.loop.close()

    def post(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has the thread do something; many such wake it once."""
        self._posted.append((function, arguments))
        if not self._is_posted:
            self._is_posted = True
            try:
                self.loop.call_soon_threadsafe(self._work)
            except RuntimeError:
                pass  # it has ended, and with it all calls

    def _work(self) -> None:
        self._is_posted = False
        while self._posted:
            function, arguments = self._posted.popleft()
            function(*arguments)

    def stop(self) -> None:
        self.post(self._stop)
        if threading.current_thread() is not self.thread:
            self.thread.join(5)

    def _stop(self) -> None:
        self.core.close()
        self.loop.call_soon(self.loop.stop)

    def forget(self) -> None:
        """In a forked process, which has none of the parent's threads."""
        for link in self.core.links:
            transport = link._transport
            held = getattr(transport.get_extra_info("socket"), "_sock", None) if transport is not None else None
            if held is not None:
                held.close()
