"""The heart of the asyncio client, which the blocking one runs on a thread for the calls that nobody waits for: it chooses a
server for each call, and keeps deadlines and retries. Everything happens on one event loop."""

import asyncio
import time
from typing import Any, Callable, Optional

from ._call import Call
from ._channel import Channel
from ._discovery import Catalogues, Discovery, Network
from ._link import Link
from ._prepare import Settings
from .errors import Cancelled, DeadlineExceeded, RPCError, ServiceNotFound, Unavailable
from .policy import choose
from .topology import Server, Topology

#: Services whose providers are remembered.
ROUTES_MAX = 4096


class Core:
    """A client on one event loop."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings, self.loop = settings, loop
        self.topology = settings.topology
        self.channels: dict[str, Channel] = {}
        #: The channels to the providers of services that were called, as of this topology.
        self._routes: dict[str, list[Channel]] = {}
        #: All connections, those to servers that drain included.
        self.links: set[Link] = set()
        self.calls: set[Call] = set()
        self.is_closed = False
        self.discovery: Discovery = Network(self) if settings.learns else Catalogues(self) if settings.discovers else Discovery(self)
        #: Told of each topology that was learned.
        self.on_topology: Callable[[Topology], None] = lambda topology: None

    # Calls

    def submit(self, call: Call) -> None:
        if self.is_closed:
            call.deliver(None, Cancelled("the client was closed", executed="no"))
            return
        self.calls.add(call)
        if call.deadline is not None:
            # One that waits for an answer learns from the server first that its time is over, with the server's words.
            left = call.deadline - time.monotonic()
            if left <= 0:
                self.finish(call, None, DeadlineExceeded("the time was over before it was sent", executed="no"))
                return
            call.timer = self.loop.call_later(left, self._expired, call)
        self._attempt(call)

    def _attempt(self, call: Call) -> None:
        if call.done:
            return
        channels = self._routes.get(call.binding[0]) if call.server is None else None
        if channels is None or self.discovery.is_due:
            channels = self._resolve(call)
            if channels is None:
                return
        if len(channels) == 1:
            channels[0].accept(call)
            return
        # The last one that failed comes last.
        channel = choose(channels, lambda each: (9, 0) if each.server.name == call.history.failed_at else each.rank())
        if channel.is_ready:
            self._connect_one_more(channels)
        channel.accept(call)

    def _resolve(self, call: Call) -> Optional[list[Channel]]:
        """The servers that a call may go to; None where it waits to know them, or has failed."""
        service = call.binding[0]
        if self.discovery.keeps(call):
            return None
        try:
            channels = [self.channel(server) for server in self.topology.candidates(service, call.server)]
        except RPCError as error:
            self.finish(call, None, error)
            return None
        if call.server is None:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[service] = channels
        return channels

    def _connect_one_more(self, channels: list[Channel]) -> None:
        """One more with each call: a lone call does not connect to a whole network, and many soon use all of it."""
        for channel in channels:
            if channel.rank()[0] == 3:
                channel.connect()
                return

    def channel(self, server: Server) -> Channel:
        channel = self.channels.get(server.name)
        if channel is None or channel.server != server:
            channel = self.channels[server.name] = Channel(self, server)
        return channel

    def connect_alternatives(self, slow: Channel) -> None:
        """A server was slow to answer: calls that wait for it get a second one to wait for."""
        calls = list(slow.waiting)
        if slow.link is not None and slow.link.connection is not None and not slow.link.connection.is_ready:
            calls += [call for call in self.calls if call.channel is slow]
        seen = set()
        for call in calls:
            name = call.binding[0]
            if call.server is None and name not in seen:
                seen.add(name)
                channels = [self.channel(server) for server in self.topology.candidates(name)]
                ready = next((each for each in channels if each.is_ready), None)
                if ready is not None:
                    self.channel_is_ready(ready)
                    return
                self._connect_one_more(channels)

    def channel_is_ready(self, ready: Channel) -> None:
        """A server has answered: calls that wait for others which have not go there as well."""
        for channel in list(self.channels.values()):
            if channel is ready or channel.is_ready:
                continue
            connection = channel.link.connection if channel.link is not None else None
            moving = [call for call in self.calls if call.channel is channel and call.call_id == 0 and self._may_go(call, ready)]
            for call in moving:
                if call in channel.waiting:
                    channel.waiting.remove(call)
                elif connection is not None:
                    connection.cancel(call)
                ready.accept(call)

    def _may_go(self, call: Call, channel: Channel) -> bool:
        if call.server is not None or call.done or call.timer is None and call.channel is None:
            return False
        try:
            return channel.server in self.topology.candidates(call.binding[0])
        except RPCError:
            return False

    def attempt_failed(self, call: Call, error: RPCError, never_began: bool = False) -> None:
        if call.done:
            return
        channel, call.channel = call.channel, None
        history = call.history
        if channel is not None:
            history.failed_at = channel.server.name
            if error.server is None:
                error.server = channel.server.name
        if isinstance(error, ServiceNotFound) and call.server is None and self.discovery.asks_again(call):
            return
        if isinstance(error, Unavailable):
            self.discovery.doubt()
        pause = history.failed(
            error,
            never_began=never_began,
            idempotent=call.idempotent,
            alternative=self._has_alternative(call),
            server_pause=channel.pause if channel is not None else 0.0,
            remaining=call.left,
        )
        if pause is None or self.is_closed:
            self.finish(call, None, history.final(error))
            return
        if error.executed == "maybe":
            call.repeated = True
        # Never in the same breath: a server that fails at once must not keep the loop.
        self.loop.call_later(pause, self._attempt, call)

    def _has_alternative(self, call: Call) -> bool:
        if call.server is not None:
            return False
        try:
            servers = self.topology.candidates(call.binding[0])
        except RPCError:
            return False
        return any(each.name != call.history.failed_at and self.channel(each).rank()[0] < 4 for each in servers)

    def _expired(self, call: Call) -> None:
        executed = self._give_up(call)
        text = f"no answer within {call.timeout or 0:g} s"
        cause = call.history.last_error
        if executed == "maybe":
            text += "; it may have been executed"
        elif cause is not None:
            text += f": {cause.message}"
        error = DeadlineExceeded(text, executed=executed)
        error.server = call.channel.server.name if call.channel is not None else cause.server if cause is not None else None
        self.finish(call, None, error)

    def cancel(self, call: Call) -> None:
        """Its caller has gone; the server is told."""
        if not call.done:
            executed = self._give_up(call)
            self.finish(call, None, Cancelled(f"the call of {call.name} was cancelled", executed=executed))

    def _give_up(self, call: Call) -> str:
        """Whether it may have been executed."""
        begun = call.history.may_have_executed
        connection = call.connection
        if connection is not None:
            begun = connection.cancel(call) or begun
            connection.owner.flush_soon()
        elif call.channel is not None and call in call.channel.waiting:
            call.channel.waiting.remove(call)
        return "maybe" if begun else "no"

    def finish(self, call: Call, values: Optional[tuple[Any, ...]], error: Optional[RPCError]) -> None:
        if call.done:
            return
        call.done = True
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        self.calls.discard(call)
        call.deliver(values, error)

    # What servers provide

    def generation_changed(self, server: Server) -> None:
        self.discovery.changed(server.name)

    def doubt(self) -> None:
        self.discovery.doubt()

    def learned(self, topology: Topology) -> None:
        """Takes over what servers told."""
        self._update(topology)
        self.on_topology(topology)

    def replace(self, topology: Topology) -> None:
        """Takes the network that the program gives into use: nobody is asked for another any more."""
        self.discovery = Discovery(self)
        self._update(topology)

    def _update(self, topology: Topology) -> None:
        """Servers that are gone or moved answer the calls that they have."""
        self.topology = topology
        self._routes.clear()
        for name, channel in list(self.channels.items()):
            if channel.server not in topology.servers:
                del self.channels[name]
                channel.retire()

    # The end

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        for call in list(self.calls):
            executed = self._give_up(call)
            self.finish(call, None, Cancelled("the client was closed", executed=executed))
        error = Cancelled("the client was closed")
        for channel in self.channels.values():
            channel.close(error)
        for link in list(self.links):
            link.close()
