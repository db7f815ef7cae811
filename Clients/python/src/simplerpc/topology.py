"""Which servers there are and who provides what: from addresses, from init.yaml, or from the servers themselves."""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union

from .errors import InvalidArguments, MissingExtra, ServiceNotFound
from .keys import PublicKey, check_pin, require

#: Bytes of the name of a service, procedure, server or client.
NAME_BYTES_MAX = 128


@dataclass(frozen=True)
class Server:
    """A server and how it is known.

    `pin` is the SHA-256 of its certificate's key (`sha256//BASE64`), `ca` a file of authorities that vouch for it: with either
    it is spoken to in TLS 1.3, and where there is a pin it alone counts. `key` is the Ed25519 key that it must prove; inside TLS
    the certificate stands for it.
    """

    name: str
    host: str
    port: int
    key: Optional[PublicKey] = None
    pin: Optional[str] = None
    ca: Optional[str] = None

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"port {self.port} of {self.host} is not from 1 to 65535")

    @property
    def secure(self) -> bool:
        """Whether it is spoken to in TLS."""
        return self.pin is not None or self.ca is not None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"server {self.address}" if self.name == self.address else f"server '{self.name}' ({self.address})"

    @classmethod
    def parse(
        cls, text: str, *, key: Optional[PublicKey] = None, pin: Optional[str] = None, ca: Optional[str] = None
    ) -> "Server":
        """Reads `HOST:PORT`, `[IPV6]:PORT`."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            colon = ""
        if not colon or not host or not port.isascii() or not port.isdigit():
            raise ValueError(f"'{text}' is not an address; write HOST:PORT, such as 127.0.0.1:8282 or [::1]:8282")
        server = cls("", host, int(port), key, pin, ca)
        return replace(server, name=server.address)


@dataclass(frozen=True)
class Identity:
    """A client of `network.clients`: the address that it is registered with, for connections to come from there."""

    name: str
    host: Optional[str] = None
    port: Optional[int] = None

    @property
    def source(self) -> Optional[tuple[str, int]]:
        """The local address (empty for any) and port (0 for any) to connect from; None where the system may choose."""
        if self.host is None or "/" in self.host:
            return ("", self.port) if self.port else None
        return (self.host, self.port or 0)


@dataclass(frozen=True)
class Topology:
    """Servers, and which of them provide which service. Where `services` is None that is not known yet: with one server
    everything is asked of it, with several they are asked for their catalogues."""

    servers: tuple[Server, ...]
    services: Optional[Mapping[str, tuple[str, ...]]] = None
    clients: Mapping[str, Identity] = field(default_factory=dict)
    #: Whether it was learned from a server, which tells what the client may use: any server says what is with the rest.
    partial: bool = False

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError("a client needs at least one server")
        names = [server.name for server in self.servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two servers are named '{name}'")

    def server(self, name: str) -> Server:
        for server in self.servers:
            if server.name == name:
                return server
        raise ServiceNotFound(f"there is no server '{name}'; there are: {', '.join(server.name for server in self.servers)}")

    def candidates(self, service: str, server: Optional[str] = None) -> list[Server]:
        """The servers that a call may go to; never none."""
        if server is not None:
            return [self.server(server)]
        if service == "system" or self.services is None:
            return list(self.servers)
        providers = self.services.get(service)
        if not providers and self.partial:
            return list(self.servers)
        if providers is None:
            known = ", ".join(sorted(self.services)) or "none"
            raise ServiceNotFound(f"no server provides the service '{service}'; there are: {known}")
        found = [each for each in self.servers if each.name in providers]
        if not found:
            raise ServiceNotFound(f"the service '{service}' has no provider")
        return found

    def knows(self, service: str, server: Optional[str] = None) -> bool:
        """Whether it says where a call is to go."""
        if server is not None:
            return any(each.name == server for each in self.servers)
        return service == "system" or self.services is not None and service in self.services

    @classmethod
    def of(
        cls,
        servers: Union["Topology", Server, str, Iterable[Union[Server, str]]],
        port: Optional[Union[int, str]] = None,
        *,
        key: Optional[PublicKey] = None,
        pin: Optional[str] = None,
        ca: Optional[str] = None,
    ) -> "Topology":
        """What a client was given: a topology, a server, an address, or several."""
        if isinstance(servers, Topology):
            if port is not None or key or pin or ca:
                raise ValueError("a topology says how its servers are known: give no port, server_key, pin or ca besides")
            return servers
        if isinstance(servers, str):
            if port is not None:
                if not str(port).isdigit():
                    raise ValueError(f"'{port}' is not a port")
                servers = f"[{servers}]:{port}" if ":" in servers else f"{servers}:{port}"
            servers = [servers]
        elif isinstance(servers, Server):
            servers = [servers]
        parsed = [each if isinstance(each, Server) else Server.parse(each, key=key, pin=pin, ca=ca) for each in servers]
        return cls(tuple(parsed))

    @classmethod
    def from_init(cls, path: Union[str, "os.PathLike[str]"]) -> "Topology":
        """Reads the network of an `init.yaml`; the initializer is what checks the file. Needs the extra `yaml`."""
        try:
            import yaml
        except ImportError:
            raise MissingExtra("init.yaml", "yaml", "PyYAML") from None
        path = os.fspath(path)
        with open(path, encoding="utf-8") as file:
            try:
                document = yaml.safe_load(file)
            except yaml.YAMLError as error:
                raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
        try:
            return cls._from_document(document, os.path.dirname(path))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path}: {reason}; 'initializer --dry-run' says where") from None

    @classmethod
    def _from_document(cls, document: Any, folder: str) -> "Topology":
        network = document["network"]
        authorities = os.path.join(folder, network["ca"]) if network.get("ca") else None
        servers = []
        for name, fields in _entries(network["servers"]):
            key = fields.get("key")
            servers.append(
                Server(
                    name, str(fields["ip"]), int(fields["port"]), PublicKey.parse(key) if key else None, fields.get("certificate"),
                    authorities,
                )  # fmt: skip
            )
        clients = {}
        for name, fields in _entries(network.get("clients") or []):
            clients[name] = Identity(name, str(fields["ip"]) if "ip" in fields else None, fields.get("port"))
        services = {}
        for name, fields in _entries(document.get("service") or document.get("services") or []):
            services[name] = tuple(str(each) for each in fields.get("providers") or ())
        return cls(tuple(servers), services, clients)

    def told(self, catalogues: Mapping[str, Mapping[str, Any]]) -> "Topology":
        """With what servers (by the names they are known by here) say of themselves. Those that said nothing keep what they
        had."""
        services: dict[str, tuple[str, ...]] = {
            service: tuple(each for each in providers if each not in catalogues)
            for service, providers in (self.services or {}).items()
        }
        for server, catalogue in catalogues.items():
            for service in catalogue.get("services") or ():
                name = service.get("name") if isinstance(service, dict) else None
                if isinstance(name, str) and name != "system":
                    services[name] = (*services.get(name, ()), server)
        order = [server.name for server in self.servers]
        return replace(self, services={name: tuple(sorted(found, key=order.index)) for name, found in services.items() if found})


    def learned(self, told: Any, asked: Server, seeds: Iterable[Server]) -> "Topology":
        """The network as a server tells it: what `system.topology` of `asked` returned.

        Where `seeds`, the servers that the client was given, are among those of the network, the addresses and the trust that it
        was given count. Raises ValueError for what is no topology, MissingExtra where keys are to be proven and cannot be.
        """
        try:
            seeds = list(seeds)
            own, authorities = told.get("server"), told.get("ca")
            # Without a name, no network has been deployed yet.
            given = {seed.address: seed for seed in seeds} if own is not None else {}
            servers = [_server(fields, own, authorities, asked, given) for fields in told["servers"]]
            services = {str(fields["name"]): tuple(map(str, fields["providers"])) for fields in told["services"]}
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{error} is missing" if isinstance(error, KeyError) else str(error)) from None
        places = {server.address for server in servers} | ({asked.address} if own is not None and servers else set())
        names = {server.name for server in servers}
        # The others stay those who can be asked, should all of these be gone: by the names that they told, where they did.
        named = {server.address: server for server in self.servers}
        rest = [named.get(seed.address, seed) for seed in seeds if seed.address not in places]
        servers += [seed for seed in rest if seed.name not in names]
        known = {server.name: server for server in self.servers}
        # The same object where nothing changed, by which connections know their server.
        kept = [known[each.name] if known.get(each.name) == each else each for each in servers]
        if any(server.key is not None and not server.secure for server in kept):
            require()
        return Topology(tuple(kept), services, self.clients, partial=True)


def _server(
    fields: Mapping[str, Any], own: Optional[str], authorities: Optional[str], asked: Server, given: Mapping[str, Server]
) -> Server:
    """One of the servers of `system.topology`, as the client reaches and trusts it."""
    name, key, pin = str(fields["name"]), fields.get("key"), fields.get("certificate")
    server = Server(
        name, str(fields["host"]), int(fields["port"]), PublicKey.parse(key) if key else None, check_pin(pin) if pin else None,
        authorities,
    )  # fmt: skip
    seed = given.get(asked.address if name == own else server.address)
    if seed is None:
        return server
    trusts = seed if seed.secure or seed.key is not None else server
    return Server(name, seed.host, seed.port, trusts.key, trusts.pin, trusts.ca)


def _entries(listed: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    """A list of `NAME: {…}`, or a map of them."""
    if isinstance(listed, dict):
        yield from ((str(name), fields or {}) for name, fields in listed.items())
        return
    for entry in listed:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ValueError(f"found {entry!r:.60} where NAME: {{…}} is expected")
        for name, fields in entry.items():
            yield str(name), fields or {}


def split_name(name: str) -> tuple[str, str]:
    """SERVICE.PROCEDURE; a procedure has no dot in its name, a service may. Raises InvalidArguments."""
    service, _, procedure = name.rpartition(".")
    if not service or not procedure:
        raise InvalidArguments(f"'{name[:200]}' names no procedure: write SERVICE.PROCEDURE")
    for part in (service, procedure):
        if len(part.encode("utf-8", "replace")) > NAME_BYTES_MAX:
            size = len(part.encode("utf-8", "replace"))
            raise InvalidArguments(
                f"a name of {size} bytes, the limit is {NAME_BYTES_MAX}", actual=size, limit=NAME_BYTES_MAX, unit="bytes"
            )
    return service, procedure


def ip_bytes(host: str) -> bytes:
    """4 or 16 bytes, an IPv4 address that is mapped into IPv6 as its 4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.packed


