"""The client for asyncio."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Optional, Union

from ._call import Call
from ._core import Core
from ._prepare import Servers, plain, prepare, settings
from ._service import Service
from .errors import Cancelled, RPCError
from .frames import FRAME_BYTES
from .keys import PrivateKey, PublicKey
from .policy import History, RetryPolicy
from .tls import Certificate
from .topology import Topology


class Answer(asyncio.Future):  # type: ignore[type-arg]
    """The answer to a call that was started. Cancelling it, or the task that awaits it, cancels the call on the server."""

    _core: Core
    _call: Call

    def cancel(self, msg: Any = None) -> bool:
        if not super().cancel(msg):
            return False
        self._core.cancel(self._call)
        return True

    def _settle(self, values: Any, error: Optional[RPCError]) -> None:
        if self.done():
            return
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(plain(values))


class AsyncClient:
    """Calls procedures on the servers of a network, from the tasks of one event loop. It connects with the first call and shares
    one connection to each server among all.

        async with AsyncClient("127.0.0.1:8282") as client:
            print(await client.call("math.add", 1, 2))

    The arguments are those of `Client`.
    """

    def __init__(
        self,
        servers: Servers,
        port: Optional[Union[int, str]] = None,
        *,
        identity: Optional[str] = None,
        key: Optional[Union[PrivateKey, str]] = None,
        server_key: Optional[Union[PublicKey, str]] = None,
        pin: Optional[str] = None,
        ca: Optional[str] = None,
        certificate: Optional[Union[str, Certificate]] = None,
        timeout: Optional[float] = None,
        retry: Union[RetryPolicy, int] = RetryPolicy(),
        connect_timeout: float = 5.0,
        keepalive: float = 5.0,
        frame_bytes: int = FRAME_BYTES,
        network: bool = False,
    ) -> None:
        self._settings = settings(
            servers, port, identity=identity, key=key, server_key=server_key, pin=pin, ca=ca, certificate=certificate,
            timeout=timeout, retry=retry, connect_timeout=connect_timeout, keepalive=keepalive, frame_bytes=frame_bytes,
            network=network,
        )  # fmt: skip
        self._core: Optional[Core] = None
        self._process = os.getpid()
        self._closed = False

    def _running(self) -> Core:
        if self._closed:
            raise Cancelled("the client was closed", executed="no")
        core = self._core
        if core is None:
            core = self._core = Core(self._settings, asyncio.get_running_loop())
        elif core.loop is not asyncio.get_running_loop():
            raise RuntimeError("this client belongs to another event loop: make one for each")
        elif self._process != os.getpid():
            raise RuntimeError("this client belongs to the process that forked: make one of your own")
        return core

    def start(
        self,
        name: str,
        *arguments: Any,
        timeout: Optional[float] = None,
        types: Optional[Sequence[str]] = None,
        returns: Optional[Sequence[str]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        retry: Optional[RetryPolicy] = None,
        server: Optional[str] = None,
    ) -> "asyncio.Future[Any]":
        """Starts a call and returns its future at once. Raises InvalidArguments for arguments that cannot travel."""
        core = self._running()
        if timeout is None:
            timeout = self._settings.timeout
        prepared = prepare(name, arguments, timeout, types, returns, metadata)
        call = Call(*prepared, History(retry or self._settings.retry), server, timeout)
        answer = Answer(loop=core.loop)
        answer._core, answer._call = core, call
        call.deliver = answer._settle
        core.submit(call)
        return answer

    async def call(
        self,
        name: str,
        *arguments: Any,
        timeout: Optional[float] = None,
        types: Optional[Sequence[str]] = None,
        returns: Optional[Sequence[str]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        retry: Optional[RetryPolicy] = None,
        server: Optional[str] = None,
    ) -> Any:
        """As `Client.call`. A task that is cancelled meanwhile cancels the call on the server."""
        return await self.start(
            name, *arguments, timeout=timeout, types=types, returns=returns, metadata=metadata, retry=retry, server=server
        )

    def service(self, name: str, **options: Any) -> Service:
        """Procedures of a service as coroutines: `await client.service("math").add(1, 2)`."""
        return Service(self.call, name, options)

    async def catalogue(self, server: Optional[str] = None) -> Any:
        """What a server offers: the map of `system.catalogue`."""
        return await self.call("system.catalogue", server=server)

    async def ping(self, server: Optional[str] = None, timeout: Optional[float] = None) -> float:
        """Seconds until a server answers, connecting first where need be."""
        began = time.monotonic()
        await self.call("system.ping", server=server, timeout=timeout)
        return time.monotonic() - began

    @property
    def topology(self) -> Topology:
        """The servers, and what is known of who provides what."""
        return self._settings.topology if self._core is None else self._core.topology

    def update_topology(self, topology: Topology) -> None:
        """Takes a changed network into use. Servers that are gone or moved answer the calls that they have."""
        self._settings = self._settings._replace(topology=topology, discovers=False, learns=False)
        if self._core is not None:
            self._core.replace(topology)

    async def close(self) -> None:
        """Ends the connections; calls in flight fail."""
        self._closed = True
        if self._core is not None:
            self._core.close()
            await asyncio.sleep(0)  # lets the sockets close

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()
