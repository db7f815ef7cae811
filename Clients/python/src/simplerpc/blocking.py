"""The blocking client.

A thread that waits for its answer has a connection of the pool to itself: it writes, reads and returns, and no other thread is
woken for that. Calls that nobody waits for (`start`) share one connection to each server, which a thread of the client's runs.
"""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Optional, Union

from ._call import Call
from ._engine import Engine, Started
from ._pool import Pool
from ._pooled import AttemptFailed
from ._prepare import Servers, plain, prepare, settings
from ._service import Service
from ._sockets import ATTEMPT_DELAY
from .errors import Cancelled, DeadlineExceeded, RPCError, ServiceNotFound, Unavailable
from .frames import FRAME_BYTES
from .keys import PrivateKey, PublicKey
from .policy import History, RetryPolicy, choose
from .request import Request
from .tls import Certificate
from .topology import Server, Topology

#: Connections to each server that threads wait at; more calls at once share one.
POOL_SIZE = 8
#: Those that `fork` copies into a child.
_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


class Client:
    """Calls procedures on the servers of a network. It connects with the first call, and may be used from any thread; a forked
    process makes connections of its own.

        with Client("127.0.0.1:8282") as client:
            client.call("math.add", 1, 2)                               # 3
            client.service("math").add(1, 2)                            # the same
            calls = [client.start("math.add", i, i) for i in range(1000)]
            sums = [call.result() for call in calls]                    # side by side, answered in any order

    None, bool, int, float, str, bytes, list and dict travel as themselves. One return value is returned plainly, several as a
    tuple, none as None.

    servers: `HOST:PORT`, several of them (which are asked what they provide), or a `Topology`; a host with `port` behind it too.
    network: the servers are where to start: the others that the client may use are learned from them, and again with each change.
    identity: the name of `network.clients` to be known by; told by address, key or certificate without it.
    key: the private key that proves who the client is, or its file.
    server_key, pin, ca: how the servers are known, as in `Server`; with `pin` or `ca` they are spoken to in TLS.
    certificate: the client's own in TLS: a PEM file of certificate and key, or the two files.
    timeout: seconds for calls that name none, over all attempts; without it they may take for ever.
    retry: when a call is tried again, or how often in all.
    connect_timeout: seconds from the first packet to the server's introduction.
    keepalive: seconds of silence with a call in flight before the server is asked for a sign of life, and again before the
        connection is given up; 0 for never.
    frame_bytes: the largest answer that is taken.
    pool: connections to each server for threads that wait; calls beyond that share one.
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
        pool: int = POOL_SIZE,
    ) -> None:
        self._settings = settings(
            servers, port, identity=identity, key=key, server_key=server_key, pin=pin, ca=ca, certificate=certificate,
            timeout=timeout, retry=retry, connect_timeout=connect_timeout, keepalive=keepalive, frame_bytes=frame_bytes,
            network=network,
        )  # fmt: skip
        source = self._settings.source
        # A registered source port has room for one connection to a server.
        self._pool_size = 0 if source is not None and source[1] else pool
        self._topology = self._settings.topology
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._engine: Optional[Engine] = None
        self._closed = False
        _clients.add(self)

    def call(
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
        """Calls `SERVICE.PROCEDURE` and returns what it returns. Raises RPCError.

        timeout: seconds, over all attempts.
        types, returns: the types by which the overload is chosen, instead of those of the arguments.
        metadata: goes with the call, at most 8192 bytes.
        server: the name of the one that is to be called.
        """
        if timeout is None:
            timeout = self._settings.timeout
        request = Request(*prepare(name, arguments, timeout, types, returns, metadata))
        history = History(retry or self._settings.retry)
        while True:
            try:
                return plain(self._attempt(request, history, server, timeout))
            except AttemptFailed as failed:
                pause = self._next(failed, request, history, server)
            if pause:
                time.sleep(pause)

    def _attempt(self, request: Request, history: History, server: Optional[str], timeout: Optional[float]) -> tuple[Any, ...]:
        if self._closed:
            raise Cancelled("the client was closed", executed="no")
        service, topology = request.binding[0], self._topology
        if self._settings.discovers and (server is None or self._settings.learns) and not topology.knows(service, server):
            return self._by_engine(request, history, server, timeout)
        pools = [self._pool(each) for each in topology.candidates(service, server)]
        pool = choose(pools, lambda each: (9, 0) if each.server.name == history.failed_at else each.rank())
        history.failed_at = pool.server.name
        seconds = self._settings.options.connect_timeout
        # With others to go to nobody waits long for a server at first.
        patience = ATTEMPT_DELAY if len(pools) > 1 and not history.moves else seconds
        if request.deadline is not None:
            left = request.deadline - time.monotonic()
            if left <= 0:
                raise AttemptFailed(DeadlineExceeded("the time was over before it was sent", executed="no"))
            patience = min(patience, left)
        pooled = pool.take(patience)
        if pooled is None:
            return self._by_engine(request, history, server, timeout)
        try:
            values = pooled.exchange(request, patience, timeout)
        except AttemptFailed as failed:
            pool.give_back(pooled)
            if self._closed:
                failed.error = Cancelled("the client was closed", executed=failed.error.executed)
            elif isinstance(failed.error, ServiceNotFound) and self._settings.discovers and server is None:
                return self._by_engine(request, history, server, timeout)  # which asks where it is now
            raise
        except BaseException:  # such as Ctrl-C: the end of the connection cancels the call on the server
            pool.drop(pooled)
            raise
        pool.give_back(pooled)
        return values

    def _next(self, failed: AttemptFailed, request: Request, history: History, server: Optional[str]) -> float:
        """After how many seconds to make another attempt; raises what the caller is told."""
        error = failed.error
        name = history.failed_at
        if error.server is None:
            error.server = name
        if self._settings.learns and isinstance(error, Unavailable):
            engine = self._running_engine()
            engine.post(engine.core.doubt)
        pools = [self._pool(each) for each in self._topology.candidates(request.binding[0], server)]
        alternative = server is None and any(each.server.name != name and each.rank()[0] == 0 for each in pools)
        remaining = None if request.deadline is None else request.deadline - time.monotonic()
        if isinstance(error, DeadlineExceeded) and error.executed == "no" and history.last_error is not None:
            error.message += f": {history.last_error.message}"
        pause = history.failed(
            error,
            never_began=failed.never_began,
            idempotent=request.idempotent,
            alternative=alternative,
            server_pause=next((each.pause for each in pools if each.server.name == name), 0.0),
            remaining=remaining,
        )
        if pause is None or self._closed:
            raise history.final(error) from None
        if error.executed == "maybe":
            request.repeated = True
        return pause

    def _by_engine(self, request: Request, history: History, server: Optional[str], timeout: Optional[float]) -> tuple[Any, ...]:
        """Makes the call on the shared connection, where the client's thread sees to everything."""
        call = Call(request.binding, request.body, request.metadata, request.deadline, history, server, timeout)
        call.repeated = request.repeated
        waiting: "Future[tuple[Any, ...]]" = Future()

        def deliver(values: Optional[tuple[Any, ...]], error: Optional[RPCError]) -> None:
            if error is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(values or ())

        call.deliver = deliver
        engine = self._running_engine()
        if threading.current_thread() is engine.thread:
            raise RuntimeError("a callback runs where answers are read, so it cannot wait for one: use start()")
        engine.post(engine.core.submit, call)
        try:
            return waiting.result()
        except RPCError as error:
            raise error from None
        except BaseException:
            engine.post(engine.core.cancel, call)
            raise

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
    ) -> "Future[Any]":
        """Starts a call and returns its future at once. A callback of it runs on the thread that reads answers: it may start
        calls, and is refused where it would wait for one. Raises InvalidArguments for arguments that cannot travel."""
        if timeout is None:
            timeout = self._settings.timeout
        prepared = prepare(name, arguments, timeout, types, returns, metadata)
        call = Call(*prepared, History(retry or self._settings.retry), server, timeout)
        future = Started()
        future._client, future._call = self, call
        call.deliver = future._settle
        engine = self._running_engine()
        engine.post(engine.core.submit, call)
        return future

    def service(self, name: str, **options: Any) -> Service:
        """Procedures of a service as methods: `client.service("math").add(1, 2)`. Options of `call` hold for all of them."""
        return Service(self.call, name, options)

    def catalogue(self, server: Optional[str] = None) -> Any:
        """What a server offers: the map of `system.catalogue`."""
        return self.call("system.catalogue", server=server)

    def ping(self, server: Optional[str] = None, timeout: Optional[float] = None) -> float:
        """Seconds until a server answers, connecting first where need be."""
        began = time.monotonic()
        self.call("system.ping", server=server, timeout=timeout)
        return time.monotonic() - began

    @property
    def topology(self) -> Topology:
        """The servers, and what is known of who provides what."""
        return self._topology

    def update_topology(self, topology: Topology) -> None:
        """Takes a changed network into use. Servers that are gone or moved answer the calls that they have."""
        with self._lock:
            self._settings = self._settings._replace(topology=topology, discovers=False, learns=False)
            engine = self._engine
        for pool in self._take(topology):
            pool.retire()
        if engine is not None:
            engine.post(engine.core.replace, topology)

    def close(self) -> None:
        """Ends the connections; calls in flight fail."""
        with self._lock:
            self._closed = True
            pools, engine = list(self._pools.values()), self._engine
        for pool in pools:
            pool.close()
        if engine is not None and engine.process == os.getpid():
            engine.stop()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def _pool(self, server: Server) -> Pool:
        pool = self._pools.get(server.name)
        if pool is None or pool.server is not server:
            with self._lock:
                pool = self._pools.get(server.name)
                if pool is None or pool.server != server:
                    pool = self._pools[server.name] = Pool(self, server)
        return pool

    def _running_engine(self) -> Engine:
        if self._closed:
            raise Cancelled("the client was closed", executed="no")
        engine = self._engine
        if engine is None:
            with self._lock:
                if self._engine is None:
                    learned = weakref.WeakMethod(self._learned)

                    def on_topology(topology: Topology) -> None:
                        method = learned()
                        if method is not None:
                            method(topology)

                    self._engine = Engine(self._settings, on_topology)
                engine = self._engine
        return engine

    def _learned(self, topology: Topology) -> None:
        for pool in self._take(topology):
            pool.retire()

    def _take(self, topology: Topology) -> list[Pool]:
        """Takes a topology into use; the pools of servers that are gone from it or moved."""
        with self._lock:
            self._topology = topology
            gone = [name for name, pool in self._pools.items() if pool.server not in topology.servers]
            return [self._pools.pop(name) for name in gone]

    def _generation_changed(self, server: Server) -> None:
        if self._settings.discovers and self._engine is not None:
            self._engine.post(self._engine.core.generation_changed, server)

    def _forked(self) -> None:
        """In a forked process: what the parent has stays the parent's."""
        for pool in self._pools.values():
            pool.forget()
        if self._engine is not None:
            self._engine.forget()
        self._lock = threading.Lock()
        self._pools, self._engine = {}, None


def _forked() -> None:
    for client in list(_clients):
        client._forked()


def _close_all() -> None:
    for client in list(_clients):
        client.close()


os.register_at_fork(after_in_child=_forked)
# Later, when the interpreter is taken down, a client's thread does not run any more and could not be waited for.
atexit.register(_close_all)
