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

_FIELDS = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
_PARAMETER = re.compile(r'(?:^|[;\s])(for|proto|host)="?([^";\s]*)', re.IGNORECASE)
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
        behind = self._behind_sender(told.hops)
        scheme, host = _at(told.schemes, behind).lower(), _at(told.hosts, behind)
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        if host:
            scope[HOST] = host.encode("latin-1")
        if told.hops and (sender := told.hops[-1 - behind]) is not None:
            scope["client"] = tuple(sender)

    def check_host(self, scope: Message) -> None:
        """Raise `RequestRefused` 421 when the request is for a host that is not served here."""
        name = _PORT.sub("", host_of(scope).decode("latin-1")).lower()
        if name in self._hosts or _is_below(name, self._hosts):
            return
        raise RequestRefused(
            421, "HostNotAllowed", "This deployment does not serve that host", hint="Add it to `allowed_hosts`."
        )

    def _behind_sender(self, hops: Sequence[Node | None]) -> int:
        """How many proxies stand between the sender, who is the last that is not trusted, and the one that told us."""
        for behind, hop in enumerate(reversed(hops)):
            if hop is None or not self._is_trusted(hop.host):
                return behind
        return max(0, len(hops) - 1)

    def _look_up(self, host: str) -> bool:
        address = _address(host)
        return address is not None and (self._everyone or any(address in network for network in self._networks))


class _Told:
    """What proxies say, each adding to what came before it: the first entry of each list may be the sender's own.

    `X-Forwarded-…` is what nearly all proxies write. `Forwarded` counts only without it: a proxy that writes the one
    lets the other pass, as its client made it up.
    """

    def __init__(self, headers: Sequence[Header]) -> None:
        fields: dict[bytes, str] = {}
        for name, value in headers:
            if name in _FIELDS or name == b"forwarded":
                text = value.decode("latin-1")
                fields[name] = f"{fields[name]},{text}" if name in fields else text
        standard = fields.pop(b"forwarded", "")
        names, self.schemes, self.hosts = map(_listed, map(fields.get, _FIELDS)) if fields else _elements(standard)
        self.hops = [_node(name) for name in names]
        """From the client to the proxy's neighbour; None for one that is hidden, or nonsense."""


def _listed(value: str | None) -> list[str]:
    return [] if value is None else [part.strip() for part in value.split(",")]


def _elements(value: str) -> tuple[list[str], list[str], list[str]]:
    """What `Forwarded` says of each hop; a comma ends an element even in quotes, which its sender may leave open."""
    elements = [{match[1].lower(): match[2] for match in _PARAMETER.finditer(part)} for part in value.split(",")]
    names, schemes, hosts = ([each.get(key, "") for each in elements] for key in ("for", "proto", "host"))
    return names, schemes, hosts


def _at(values: Sequence[str], behind: int) -> str:
    """What was said to the proxy that `behind` others stand behind; to the first that said anything, if fewer did."""
    return values[-1 - behind] if behind < len(values) else values[0] if values else ""


def host_of(scope: Message) -> bytes:
    """What the request is for: the `Host` header, or a trusted proxy's word for it; empty without either."""
    told: bytes | None = scope.get(HOST)
    if told is not None:
        return told
    headers: list[Header] = scope["headers"]
    return next((value for name, value in headers if name == b"host"), b"")


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
