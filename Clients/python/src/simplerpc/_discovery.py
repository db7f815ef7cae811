"""How a client learns what servers provide, and which there are."""

import time
from typing import TYPE_CHECKING, Any, Optional

from ._call import Call
from .errors import FailedPrecondition, MissingExtra, ProtocolError, RPCError, RPCNotFound, Unavailable
from .policy import RECONNECT, History, RetryPolicy
from .topology import Topology

if TYPE_CHECKING:
    from ._core import Core


#: Seconds between two questions that are asked because servers cannot be reached.
DOUBT_PAUSE = 1.0


class Discovery:
    """Of a client that was told everything: asks nobody."""

    def __init__(self, core: "Core") -> None:
        self._core = core

    @property
    def is_due(self) -> bool:
        """Whether something is to be asked with the next call."""
        return False

    def keeps(self, call: Call) -> bool:
        """Whether a call waits for an answer that says where it may go; it is tried again then."""
        return False

    def asks_again(self, call: Call) -> bool:
        """Whether a call whose service was not found waits to know where it is now: it may just have moved."""
        return False

    def changed(self, server: str) -> None:
        """A server has another generation, or another topology."""

    def doubt(self) -> None:
        """A server could not be reached: it may be elsewhere now."""


class Asking(Discovery):
    """One that asks servers, each at most once at a time."""

    procedure = ""

    def __init__(self, core: "Core") -> None:
        super().__init__(core)
        #: What is to be asked, and what is being asked: names of servers, or "" for any.
        self._unknown: set[str] = set()
        self._asking: dict[str, Call] = {}
        self._waiting: list[Call] = []

    @property
    def is_due(self) -> bool:
        return bool(self._unknown)

    def asks_again(self, call: Call) -> bool:
        if call.asked_again:
            return False
        self._ask_again(call)
        self._waiting.append(call)
        return True

    def _waits(self, call: Call) -> bool:
        """Keeps a call while an answer is on its way; whether it was kept."""
        if self._asking:
            self._waiting.append(call)
        return bool(self._asking)

    def changed(self, server: str) -> None:
        self._unknown.add(server)
        self._ask_all()

    def _ask_again(self, call: Call) -> None:
        raise NotImplementedError

    def _ask_all(self) -> None:
        raise NotImplementedError

    def _take(self, name: str, call: Call, answer: Any) -> None:
        """Raises ValueError or MissingExtra for an answer that cannot be used."""
        raise NotImplementedError

    def _failed(self, name: str) -> None:
        """Nobody answered: it is asked again with a later call."""
        self._core.loop.call_later(RECONNECT.maximum, self._unknown.add, name)

    def _ask(self, name: str) -> None:
        seconds = self._core.settings.options.connect_timeout
        deadline = time.monotonic() + seconds
        call = Call(("system", self.procedure, (), None), b"\x90", b"", deadline, History(RetryPolicy()), name or None, seconds)
        self._asking[name] = call
        call.deliver = lambda values, error: self._told(name, call, values, error)
        self._unknown.discard(name)
        self._core.submit(call)

    def _told(self, name: str, call: Call, values: Optional[tuple[Any, ...]], error: Optional[RPCError]) -> None:
        core = self._core
        self._asking.pop(name, None)
        if core.is_closed:
            return
        try:
            if values and isinstance(values[0], dict):
                if core.discovery is self:  # else the program has said meanwhile what the network is
                    self._take(name, call, values[0])
            elif error is None:
                raise ValueError("it is not a map")
            if isinstance(error, RPCNotFound):
                error = FailedPrecondition(f"{call.history.failed_at or 'the server'} is of a release without system.{self.procedure}")
        except MissingExtra as problem:
            error = FailedPrecondition(str(problem))
        except ValueError as problem:
            error = ProtocolError(f"the answer of system.{self.procedure} is not understood: {problem}", executed="yes")
        if error is not None:
            self._failed(name)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if each.done:
                continue
            if self._asking and (each.asked_again or not core.topology.knows(each.binding[0], each.server)):
                self._waiting.append(each)  # another server may know
            elif core.topology.services is None:
                core.finish(each, None, error or Unavailable("no server says what it provides"))
            else:
                core._attempt(each)


class Catalogues(Asking):
    """Of a client that was given all servers: each is asked for its catalogue."""

    procedure = "catalogue"

    def __init__(self, core: "Core") -> None:
        super().__init__(core)
        self._unknown = {server.name for server in core.topology.servers}

    def keeps(self, call: Call) -> bool:
        if call.server is not None or call.binding[0] == "system":
            return False
        if self._unknown:
            self._ask_all()
        if self._core.topology.knows(call.binding[0]):
            return False
        if not self._asking and not call.asked_again:
            self._ask_again(call)
        return self._waits(call)

    def _ask_again(self, call: Call) -> None:
        call.asked_again = True
        self._unknown.update(server.name for server in self._core.topology.servers)
        self._ask_all()

    def _ask_all(self) -> None:
        for name in list(self._unknown):
            if name not in self._asking:
                self._ask(name)

    def _take(self, name: str, call: Call, answer: Any) -> None:
        self._core.learned(self._core.topology.told({name: answer}))


class Network(Asking):
    """Of a client that was given where to start: any server is asked for the network, as far as the client may use it."""

    procedure = "topology"

    def __init__(self, core: "Core") -> None:
        super().__init__(core)
        self._unknown = {""}
        self._asked_at = 0.0
        self._seeds = core.topology.servers

    def keeps(self, call: Call) -> bool:
        service, server = call.binding[0], call.server
        if service == "system" and server is None:
            return False
        if self._unknown:
            self._ask_all()
        topology = self._core.topology
        if topology.knows(service, server):
            return False
        if not self._asking and server is not None and not call.asked_again:
            self._ask_again(call)
        return self._waits(call)

    def _ask_again(self, call: Call) -> None:
        call.asked_again = True
        self._unknown.add("")
        self._ask_all()

    def _ask_all(self) -> None:
        """The one that announced a change knows of it first; one question at a time is enough."""
        if self._unknown and not self._asking:
            names = [server.name for server in self._core.topology.servers if server.name in self._unknown]
            self._unknown.clear()
            self._asked_at = time.monotonic()
            self._ask(names[0] if names else "")

    def _take(self, name: str, call: Call, answer: Any) -> None:
        core = self._core
        if call.channel is None:
            raise ValueError("no server told it")
        topology: Topology = core.topology.learned(answer, call.channel.server, self._seeds)
        for server in topology.servers:
            if server.secure:
                core.settings.contexts.prepare(server)
        core.learned(topology)
        # Changes are heard where a connection is: this one stays open for them, whichever server is called.
        teller = answer.get("server")
        if topology.knows("", teller):
            core.channel(topology.server(teller)).connect()

    def doubt(self) -> None:
        if not self._asking and time.monotonic() - self._asked_at > DOUBT_PAUSE:
            self._unknown.add("")
            self._ask_all()

    def _failed(self, name: str) -> None:
        if name:
            self._unknown.add("")
            self._ask_all()
        else:
            super()._failed(name)
