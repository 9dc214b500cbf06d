"""`pyconvex routes --cors ORIGIN "POST /x"`: plays the browser, and finds out what it would object to.

The preflight is sent for real, and so is a GET or HEAD. Other requests would change something, so they are only sent
when that is asked for; otherwise what is known of the code has to do.
"""

from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.fetch.url import URL
from pyconvex.functions.routing.cors import Cors
from pyconvex.functions.routing.cors_protocol import (
    Answer,
    Objection,
    PageRequest,
    check_preflight,
    check_response,
    forbidden_headers,
    preflight_headers,
    preflight_reasons,
)
from pyconvex.functions.routing.route import Route, RouteForm
from pyconvex.functions.routing.table import RouteTable
from pyconvex_cli.inventory import Inventory, RouteInfo
from pyconvex_cli.site import Site
from pyconvex_cli.usage import WrongUsage

_SAFE = ("GET", "HEAD")
_WITH_BODY = ("POST", "PUT", "PATCH")


class Known(StrEnum):
    """How the answer to the request itself is known."""

    SENT = "sent"
    CORS = "cors"
    """From the router's `cors=`."""
    CODE = "code"
    """The handler's code does not name the header."""
    NOT_REACHED = "not reached"
    UNKNOWN = "unknown"


class Exchanged(Struct, frozen=True):
    """One question of the browser: what it sends, what is answered, what it objects to."""

    sent: dict[str, str]
    answer: Answer
    objections: list[Objection]


class Findings(Struct, frozen=True):
    """What a browser would do. `route` takes the request, `options_route` the preflight."""

    request: PageRequest
    path: str
    site: str
    route: RouteInfo | None
    options_route: RouteInfo | None
    cors: Cors | None
    same_origin: bool
    mixed_content: bool
    reasons: list[str]
    preflight: Exchanged | None
    known: Known
    response: Exchanged | None

    @property
    def allowed(self) -> bool | None:
        """Whether the page gets its answer; None when that is not known."""
        if self.same_origin:
            return True
        exchanged = [each for each in (self.preflight, self.response) if each is not None]
        if self.mixed_content or any(each.objections for each in exchanged):
            return False
        return None if self.known is Known.UNKNOWN else True


def page_request(origin: str, method: str, headers: Sequence[str], *, credentials: bool) -> PageRequest:
    """What a page sends; a body is assumed to be JSON. Raises `WrongUsage`."""
    parsed = [_header(each) for each in headers]
    if method in _WITH_BODY and not any(name.lower() == "content-type" for name, _ in parsed):
        parsed.append(("content-type", "application/json"))
    return PageRequest(_origin(origin), method, parsed, credentials)


def examine(site: Site, asked: PageRequest, path: str, query: str, *, send: bool) -> Findings:
    """Ask `site` as a browser would; with `send`, also requests that change something."""
    request = _as_sent(asked)
    target = f"{path}?{query}" if query else path
    inventory = site.inventory
    table, infos = _table(inventory)
    found, options = table.match(path, request.method), table.match(path, "OPTIONS")
    route = None if found is None else infos[found.route]
    same = URL(site.address).origin == request.origin
    reasons = [] if same else preflight_reasons(request)
    preflight = _preflight(site, request, target) if reasons else None
    cors = Cors(**inventory.cors) if inventory.cors is not None else None
    known, response = (
        (Known.NOT_REACHED, None)
        if same or (preflight is not None and preflight.objections)
        else _response(site, request, target, route, cors, send=send or request.method in _SAFE)
    )
    return Findings(
        asked,
        path,
        site.address,
        route,
        None if options is None else infos[options.route],
        cors,
        same,
        _is_mixed(request.origin, site.address),
        reasons,
        preflight,
        known,
        response,
    )


def _as_sent(asked: PageRequest) -> PageRequest:
    """The request without the headers that a page cannot set, which the browser leaves out."""
    dropped = forbidden_headers(asked.headers)
    return replace(asked, headers=[header for header in asked.headers if header[0].lower() not in dropped])


def _preflight(site: Site, request: PageRequest, target: str) -> Exchanged:
    sent = preflight_headers(request)
    answer = site.ask("OPTIONS", target, sent.items())
    return Exchanged(sent, answer, check_preflight(request, answer))


def _response(
    site: Site, request: PageRequest, target: str, route: RouteInfo | None, cors: Cors | None, *, send: bool
) -> tuple[Known, Exchanged | None]:
    sent = {"origin": request.origin, **dict(request.headers)}
    if send or route is None:
        known, answer = Known.SENT, site.ask(request.method, target, sent.items())
    elif route.names_cors or (cors is None and route.form == RouteForm.MOUNT):
        return Known.UNKNOWN, None
    elif cors is not None:
        known, answer = Known.CORS, Answer(200, Headers())
        cors.decorate(answer.headers, request.origin)
    else:
        known, answer = Known.CODE, Answer(200, Headers())
    return known, Exchanged(sent, answer, check_response(request, answer))


def _table(inventory: Inventory) -> tuple[RouteTable, dict[Route, RouteInfo]]:
    """The routes arranged for look-ups, without their handlers."""
    from pyconvex.errors import Place

    table, infos = RouteTable(), dict[Route, RouteInfo]()
    for info in inventory.routes:
        route = Route(info.path, info.method, _nothing, Place(info.place, 0), RouteForm(info.form))
        table.add(route)
        infos[route] = info
    return table, infos


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("these routes are only looked up")


def _origin(text: str) -> str:
    try:
        origin = "null" if text == "null" else URL(text).origin
    except ValueError:
        origin = ""
    if not origin or (origin == "null" and text != "null" and not text.startswith("file:")):
        raise WrongUsage(f"{text!r} is no origin", hint="an origin is scheme, host and port, such as https://my.site")
    return origin


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    try:
        ((name, value),) = Headers([(name.strip(), value)]).items()
    except TypeError as error:
        raise WrongUsage(f"--header {text!r}: {error}") from None
    if not colon:
        value = "x"
    return name, value


def _is_mixed(origin: str, site: str) -> bool:
    """Whether a page on https asks over http, which browsers only allow to their own machine
    (https://w3c.github.io/webappsec-mixed-content/)."""
    parts = urlsplit(site)
    host = parts.hostname or ""
    is_local = host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")
    return origin.startswith("https:") and parts.scheme == "http" and not is_local
