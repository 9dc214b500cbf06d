"""Who a request is from and for, when a proxy stands in front: headers that anybody can write are believed only when
they come from an address that the deployment trusts (RFC 7239, section 8.1).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from pyconvex.errors import RequestRefused

from .request_body import Message

Header = tuple[bytes, bytes]

HOST = "pyconvex.host"
"""Key of the ASGI scope under which a trusted proxy's word for the `Host` header is; no server sets it."""

_PARAMETER = re.compile(r'(?:^|[;,\s])(for|proto|host)="?([^";,\s]*)', re.IGNORECASE)
_PORT = re.compile(r":\d*$")
_ANY = "*"


class Node(NamedTuple):
    """One end of a connection, as `X-Forwarded-For` and `Forwarded` name it; port 0 when they do not say."""

    host: str
    port: int


class Proxies:
    """What is believed of the headers that proxies add.

    Arguments:
        trusted: networks of the proxies (`10.0.0.0/8`); `*` is every address. Empty: nobody's headers are believed.
        hosts: names that requests may be for (`example.com`, `*.example.com`); empty: any.
    """

    def __init__(self, trusted: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        self._everyone = _ANY in trusted
        self._networks = [ip_network(each) for each in trusted if each != _ANY]
        self._hosts = frozenset(each.lower() for each in hosts)
        self.trusts_any = bool(trusted)
        self.limits_hosts = bool(hosts)
        self._is_trusted = lru_cache(1024)(self._look_up)

    def believe(self, scope: Message) -> None:
        """Put what a trusted proxy says into the scope: the client, the scheme, and the host that it was asked for."""
        peer = scope.get("client")
        if peer is None or not self._is_trusted(peer[0]):
            return
        headers: list[Header] = scope["headers"]
        told = _Told(headers)
        if told.scheme is not None:
            scope["scheme"] = told.scheme
        if told.host is not None:
            scope[HOST] = told.host
        client = self._client(told.hops)
        if client is not None:
            scope["client"] = tuple(client)

    def check_host(self, scope: Message) -> None:
        """Raise `RequestRefused` 421 when the request is for a host that is not served here."""
        name = _PORT.sub("", host_of(scope).decode("latin-1")).lower()
        if name in self._hosts or _is_below(name, self._hosts):
            return
        raise RequestRefused(
            421, "HostNotAllowed", "This deployment does not serve that host", hint="Add it to `allowed_hosts`."
        )

    def _client(self, hops: Sequence[Node | None]) -> Node | None:
        """The last hop that is no trusted proxy: what stands before it, its sender may have made up."""
        for hop in reversed(hops):
            if hop is None or not self._is_trusted(hop.host):
                return hop
        return hops[0] if hops else None

    def _look_up(self, host: str) -> bool:
        address = _address(host)
        return address is not None and (self._everyone or any(address in network for network in self._networks))


class _Told:
    """What a proxy says. `X-Forwarded-…` come first, as nearly all proxies write only these."""

    def __init__(self, headers: Sequence[Header]) -> None:
        fields: dict[bytes, str] = {}
        for name, value in headers:
            if name.startswith((b"x-forwarded-", b"forwarded")):
                text = value.decode("latin-1")
                fields[name] = f"{fields[name]},{text}" if name in fields else text
        standard = [(match[1].lower(), match[2]) for match in _PARAMETER.finditer(fields.get(b"forwarded", ""))]
        proto = _first(fields.get(b"x-forwarded-proto")) or _first_of(standard, "proto")
        host = _first(fields.get(b"x-forwarded-host")) or _first_of(standard, "host")
        self.scheme = {"http": "http", "https": "https"}.get(proto.lower())
        self.host = host.encode("latin-1") if host else None
        listed = fields.get(b"x-forwarded-for")
        names = [value for name, value in standard if name == "for"] if listed is None else listed.split(",")
        self.hops = [_node(name.strip()) for name in names]
        """From the client to the proxy's neighbour; None for one that is hidden, or nonsense."""


def host_of(scope: Message) -> bytes:
    """What the request is for: the `Host` header, or a trusted proxy's word for it; empty without either."""
    told: bytes | None = scope.get(HOST)
    if told is not None:
        return told
    headers: list[Header] = scope["headers"]
    return next((value for name, value in headers if name == b"host"), b"")


def _first(values: str | None) -> str:
    return (values or "").partition(",")[0].strip()


def _first_of(parameters: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in parameters if key == name), "")


def _node(text: str) -> Node | None:
    """`192.0.2.1`, `192.0.2.1:47`, `2001:db8::1` or `[2001:db8::1]:47`; None for `unknown` and hidden names."""
    match = re.fullmatch(r"\[(?P<six>[^\]]+)\](?::(?P<port6>\d{1,5}))?|(?P<four>[\d.]+):(?P<port4>\d{1,5})", text)
    host = (match["six"] or match["four"]) if match else text
    address = _address(host)
    return None if address is None else Node(str(address), int((match and (match["port6"] or match["port4"])) or 0))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_below(name: str, hosts: frozenset[str]) -> bool:
    """Whether `*.example.com` is among the hosts, for `a.example.com`, or `*`."""
    _, dot, above = name.partition(".")
    while dot:
        if f"*.{above}" in hosts:
            return True
        _, dot, above = above.partition(".")
    return _ANY in hosts
