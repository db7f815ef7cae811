"""What one connection knows of procedures' ids."""

from typing import Optional

from .request import Binding, Name, Request


class Bindings:
    def __init__(self) -> None:
        self._known: dict[Name, Binding] = {}
        self._on_the_way: dict[int, tuple[Name, Binding]] = {}
        #: Calls that wait for a BIND.
        self.waiting = 0

    @property
    def are_on_the_way(self) -> bool:
        return bool(self._on_the_way)

    def get(self, name: Name) -> Optional[Binding]:
        return self._known.get(name)

    def begin(self, name: Name, call_id: int, requests: list[Request]) -> None:
        """A BIND leaves for these calls."""
        binding = self._known[name] = Binding(requests)
        self._on_the_way[call_id] = (name, binding)
        self.waiting += len(requests)

    def wait(self, binding: Binding, request: Request) -> None:
        """A call comes while its BIND is on its way."""
        binding.later.append(request)
        self.waiting += 1

    def succeeded(self, call_id: int, number: int, idempotent: bool) -> Optional[tuple[Binding, list[Request]]]:
        """The calls that waited for this BIND; None where there was none."""
        found = self._on_the_way.pop(call_id, None)
        if found is None:
            return None
        binding = found[1]
        binding.id, binding.idempotent = number, idempotent
        return binding, self._take(binding)

    def failed(self, call_id: int) -> Optional[tuple[Name, list[Request], list[Request]]]:
        """The calls that this BIND was sent for, and those that came later and may have another answer; None where there was none."""
        found = self._on_the_way.pop(call_id, None)
        if found is None:
            return None
        name, binding = found
        self.forget(name, binding)
        first, later = binding.first, binding.later
        self._take(binding)
        return name, first, later

    def forget(self, name: Name, binding: Optional[Binding]) -> None:
        """One id turned out to be stale."""
        if self._known.get(name) is binding:
            del self._known[name]

    def forget_all(self) -> None:
        """A new generation: every id may belong to an older one. BINDs on the way are answered by the new one."""
        self._known = {name: binding for name, binding in self._known.items() if binding.id is None}

    def withdraw(self, request: Request) -> None:
        """A call waits no longer; its BIND stays on its way."""
        binding = self._known.get(request.binding)
        if binding is not None:
            for waiting in (binding.first, binding.later):
                if request in waiting:
                    waiting.remove(request)
                    self.waiting -= 1

    def take_waiting(self) -> list[Request]:
        return [request for _, binding in self._on_the_way.values() for request in self._take(binding)]

    def _take(self, binding: Binding) -> list[Request]:
        requests = binding.first + binding.later
        binding.first, binding.later = [], []
        self.waiting -= len(requests)
        return requests
