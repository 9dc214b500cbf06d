"""The two addresses of a deployment: bound before anything says "ready", remembered per project.

Defaults are Convex's: 3210 for the client API, 3211 for HTTP actions. A busy default gives way to the next free port;
a busy port that was asked for is an error that names the process holding it.
"""

import errno
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from msgspec import Struct

from pyconvex.errors import StartFailed

API_PORT = 3210
SITE_PORT = 3211
BACKLOG = 2048
SEARCH_PORTS = 200
"""How many ports from the default on are tried before giving up."""


class Sockets(Struct, frozen=True):
    """Listening sockets of one deployment. Connections wait in them until `Host.serve` takes over."""

    api: socket.socket
    site: socket.socket

    @property
    def host(self) -> str:
        return self.api.getsockname()[0]

    @property
    def port(self) -> int:
        return self.api.getsockname()[1]

    @property
    def site_port(self) -> int:
        return self.site.getsockname()[1]

    @property
    def api_url(self) -> str:
        return _url(self.host, self.port)

    @property
    def site_url(self) -> str:
        return _url(self.host, self.site_port)

    def close(self) -> None:
        self.api.close()
        self.site.close()


def bind_sockets(
    host: str = "127.0.0.1",
    port: int | None = None,
    site_port: int | None = None,
    *,
    remembered: Path | None = None,
) -> Sockets:
    """Bind both addresses and start to listen.

    Arguments:
        host: address of an interface of this machine.
        port, site_port: exactly these (0: any free one); None: the remembered, the default, or the next free one.
        remembered: file in which the chosen ports are kept, so that a project keeps its addresses.

    Raises `StartFailed`: `PortInUse` with the holder where it can be found, `PortsAlike`, `PortNotAllowed`, `BadHost`.
    """
    if port and port == site_port:
        raise StartFailed(
            "PortsAlike",
            f"the API and the site cannot both have port {port}",
            hint="leave --site-port out: what it serves is served on the API's port too",
        )
    before = _recall(remembered)
    api = _bind_first(host, _candidates(port, before.get("api"), API_PORT))
    try:
        beside = SITE_PORT if port is None else _next_port(api)
        site = _bind_first(host, _candidates(site_port, before.get("site"), beside))
    except BaseException:
        api.close()
        raise
    sockets = Sockets(api, site)
    if remembered is not None:
        _remember(remembered, sockets, before)
    return sockets


def _candidates(asked: int | None, before: int | None, default: int) -> Iterator[int]:
    if asked is not None:
        yield asked
        return
    if before is not None:
        yield before
    yield from range(default, min(default + SEARCH_PORTS, 65536))


def _next_port(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port + 1 if port < 65535 else SITE_PORT


def _bind_first(host: str, ports: Iterator[int]) -> socket.socket:
    busy: list[int] = []
    for port in ports:
        try:
            return _listen(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _unusable(host, port, error) from None
            busy.append(port)
    raise _in_use(host, busy)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((host, port))
        # with SO_REUSEADDR two processes may bind one port; only listening shows who has it
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _in_use(host: str, ports: list[int]) -> StartFailed:
    port = ports[0]
    if len(ports) > 1:
        return StartFailed("PortInUse", f"ports {port} to {ports[-1]} of {host} are all in use")
    holder = holder_of(port)
    by = f" by {holder}" if holder else ""
    return StartFailed("PortInUse", f"port {port} is in use{by}", hint="stop it, or choose another port")


def _unusable(host: str, port: int, error: OSError) -> StartFailed:
    if error.errno == errno.EACCES:
        return StartFailed(
            "PortNotAllowed", f"port {port} may not be used: {error.strerror}", hint="use one above 1023"
        )
    return StartFailed("BadHost", f"cannot listen on {host}: {error.strerror or error}")


def _recall(file: Path | None) -> dict[str, int]:
    if file is None:
        return {}
    try:
        ports: object = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}  # only a convenience: a lost or damaged file costs nothing but the same ports again
    if not isinstance(ports, dict):
        return {}
    known = cast("dict[object, object]", ports)
    return {str(k): v for k, v in known.items() if type(v) is int and 0 < v < 65536}


def _remember(file: Path, sockets: Sockets, before: dict[str, int]) -> None:
    ports = {"api": sockets.port, "site": sockets.site_port}
    if ports != before:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ports) + "\n")


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def holder_of(port: int) -> str | None:
    """The process that listens on a local TCP port, as `name (pid 123)`; None where the system does not tell.

    Only Linux tells without help: sockets by port in `/proc/net/tcp`, sockets by process in `/proc/<pid>/fd`
    (https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html).
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if sockets & set(_open_files(process)):
            return f"{_command(process)} (pid {process.name})"
    return None


def _open_files(process: Path) -> Iterator[str]:
    with suppress(OSError):  # ended meanwhile, or another user's
        for link in list((process / "fd").iterdir()):
            with suppress(OSError):  # closed meanwhile
                yield str(link.readlink())


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        words = []
    names = [Path(word.decode("utf-8", "replace")).name for word in words[:3]]
    return " ".join(names) or "another process"
