"""Procedures as if they were methods."""

from typing import Any, Callable


class Service:
    """A service of a client: `client.service("math").add(1, 2)`. A name that is none in Python is written in brackets:
    `client.service("text")["to-upper"]("a")`. Options that the service was made with hold for all its calls."""

    __slots__ = ("_call", "_name", "_options")

    def __init__(self, call: Callable[..., Any], name: str, options: Any) -> None:
        self._call, self._name, self._options = call, name, options

    def __getitem__(self, procedure: str) -> Callable[..., Any]:
        call, name, options = self._call, f"{self._name}.{procedure}", self._options
        if not options:

            def bare(*arguments: Any, **more: Any) -> Any:
                return call(name, *arguments, **more)

            return bare

        def bound(*arguments: Any, **more: Any) -> Any:
            return call(name, *arguments, **{**options, **more})

        return bound

    def __getattr__(self, procedure: str) -> Callable[..., Any]:
        if procedure.startswith("__"):
            raise AttributeError(procedure)
        return self[procedure]

    def __repr__(self) -> str:
        return f"<service {self._name}>"
