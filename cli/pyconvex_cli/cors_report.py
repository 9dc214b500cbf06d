"""What `pyconvex routes --cors` says: findings in, finished lines or JSON out."""

from collections.abc import Iterator
from typing import Any

from pyconvex.functions.routing.cors_protocol import Objection, forbidden_headers, hidden_headers, lacks_vary
from pyconvex_cli.console import Terminal, harmless
from pyconvex_cli.cors_question import Exchanged, Findings, Known
from pyconvex_cli.inventory import RouteInfo

_INDENT = "     "


def cors_lines(found: Findings, terminal: Terminal) -> Iterator[str]:
    """For people: the browser's steps, its verdict, and what to change."""
    paint, request = terminal.paint, found.request
    named = ", ".join(f"{name}: {value}" for name, value in request.headers)
    extras = [part for part in (named, "with credentials" if request.credentials else "") if part]
    about = f" ({'; '.join(extras)})" if extras else ""
    asked = paint("name", f"{request.method} {harmless(found.path)}")
    yield f"{asked} from a page of {request.origin}{harmless(about)}"
    for number, step in enumerate(_steps(found, terminal), 1):
        title, *lines = step
        yield f"  {number}  {title}"
        yield from (f"{_INDENT}{line}" for line in lines)
    yield _verdict(found, terminal)
    for hint in _hints(found):
        yield f"{paint('name', 'hint:')} {hint}"


def cors_json(found: Findings) -> dict[str, Any]:
    """For programs. `allowed` is null when the answer to the request was not looked at."""
    request = found.request
    return {
        "origin": request.origin,
        "method": request.method,
        "path": found.path,
        "site": found.site,
        "headers": dict(request.headers),
        "credentials": request.credentials,
        "sameOrigin": found.same_origin,
        "mixedContent": found.mixed_content,
        "route": _route_json(found.route),
        "reasons": found.reasons,
        "preflight": _exchanged_json(found.preflight),
        "response": _exchanged_json(found.response),
        "responseKnown": found.known,
        "allowed": found.allowed,
        "hints": list(_hints(found)),
    }


def _steps(found: Findings, terminal: Terminal) -> Iterator[list[str]]:
    if found.same_origin:
        yield ["the page and the site have the same origin, so the browser asks nobody"]
        return
    if found.mixed_content:
        yield [f"a page on https may not ask {found.site}, which is not encrypted (mixed content)"]
        return
    if found.preflight is not None:
        yield _preflight_step(found, found.preflight, terminal)
        if found.preflight.objections:
            return
    yield _request_step(found, terminal)


def _preflight_step(found: Findings, preflight: Exchanged, terminal: Terminal) -> list[str]:
    asks = [f"{name}: {value}" for name, value in preflight.sent.items() if name.startswith("access-control-")]
    who = _answered_by(found)
    return [
        f"the browser asks first (a preflight), because of {_listed(found.reasons)}",
        *(terminal.paint("muted", line) for line in (f"OPTIONS {harmless(found.path)}", *asks)),
        f"→ {preflight.answer.status} {who}",
        *_cors_headers(preflight, terminal),
        *_objections(preflight.objections, "it may send the request", terminal),
    ]


def _answered_by(found: Findings) -> str:
    if found.options_route is not None and (found.options_route.form != "mount" or found.cors is None):
        return f"from {found.options_route.handler} ({found.options_route.place})"
    if found.cors is not None and found.route is not None:
        return "from the router's cors="
    return "because nothing answers OPTIONS here"


def _request_step(found: Findings, terminal: Terminal) -> list[str]:
    method = found.request.method
    first = "the browser sends it" if found.preflight else "the browser sends it at once, it needs no preflight"
    handler = f"{found.route.handler} ({found.route.place})" if found.route else "no route"
    response = found.response
    if response is None:
        text = f"{handler} answers; what it sends was not looked at, because {method} may change something"
        return [first, text, f"{terminal.paint('warn', '?')} not known; `--send` sends the request"]
    how = {
        Known.SENT: f"→ {response.answer.status} from {handler}",
        Known.CORS: f"{handler} answers, and the router's cors= adds",
        Known.CODE: f"{handler} answers; its code sets no CORS headers, and the router has no cors=",
    }[found.known]
    notes = _notes(found, response)
    return [
        first,
        how,
        *_cors_headers(response, terminal),
        *_objections(response.objections, "the page may read the answer", terminal),
        *(terminal.paint("muted", note) for note in notes),
    ]


def _cors_headers(exchanged: Exchanged, terminal: Terminal) -> list[str]:
    shown = [
        (name, value)
        for name, value in exchanged.answer.headers.items()
        if name.startswith("access-control-") or name in ("vary", "location")
    ]
    return [terminal.paint("muted", harmless(f"{name}: {value}")) for name, value in shown]


def _objections(objections: list[Objection], otherwise: str, terminal: Terminal) -> list[str]:
    if not objections:
        return [f"{terminal.paint('good', '✔')} {otherwise}"]
    return [f"{terminal.paint('bad', '✖')} {harmless(each.message)}" for each in objections]


def _notes(found: Findings, response: Exchanged) -> Iterator[str]:
    if response.objections:
        return
    if hidden := hidden_headers(found.request, response.answer):
        yield f"the page cannot read {', '.join(hidden)}: access-control-expose-headers does not name them"
    if lacks_vary(response.answer):
        yield "unless all pages get this very answer, add `vary: Origin`: caches keep it"
    if 300 <= response.answer.status <= 399:
        yield "the browser follows the redirect, and asks the other address in the same way"


def _verdict(found: Findings, terminal: Terminal) -> str:
    if found.allowed:
        return f"{terminal.paint('good', '✔')} allowed"
    if found.allowed is None:
        return f"{terminal.paint('warn', '?')} the preflight is no obstacle; the answer itself was not looked at"
    failed = next((each for each in (found.preflight, found.response) if each is not None and each.objections), None)
    if failed is None:
        return f"{terminal.paint('loud', '✖')} blocked: mixed content"
    where = "preflight" if failed is found.preflight else "answer"
    hurt = "the request is never sent" if where == "preflight" else "it was served, but the page sees a network error"
    return f"{terminal.paint('loud', '✖')} blocked by the {where}: {hurt}"


def _hints(found: Findings) -> Iterator[str]:
    if dropped := forbidden_headers(found.request.headers):
        yield f"a page cannot set {', '.join(dropped)}: the browser leaves it out"
    if found.allowed is not False or found.mixed_content:
        return
    if found.route is None:
        yield f"no route takes {found.request.method} {harmless(found.path)}: `pyconvex routes --match` says more"
    elif found.cors is not None and not _own_handler_answers(found):
        yield from _changes_of_cors(found)
    else:
        yield from _changes_of_handlers(found)


def _own_handler_answers(found: Findings) -> bool:
    failed_preflight = found.preflight is not None and bool(found.preflight.objections)
    route = found.options_route
    return failed_preflight and route is not None and route.form != "mount"


def _changes_of_cors(found: Findings) -> Iterator[str]:
    """What the router's own `Cors(...)` lacks."""
    cors, request = found.cors, found.request
    assert cors is not None, "the caller has looked"
    if not cors.allows(request.origin):
        yield f'add "{request.origin}" to Cors(origins=[...]) in http.py'
        return
    if request.credentials and not cors.credentials:
        named = f', origins=["{request.origin}"]' if "*" in cors.origins else ""
        yield f"write Cors(credentials=True{named}) in http.py"
    preflight = found.preflight
    names = (
        [each for each in preflight.objections if each.header == "access-control-allow-headers"] if preflight else []
    )
    if names and preflight is not None:
        asked = preflight.sent["access-control-request-headers"].split(",")
        lacking = [name for name in asked if name not in {each.lower() for each in cors.headers}]
        listed = ", ".join(f'"{name}"' for name in lacking)
        yield f"add {listed} to Cors(headers=[...]) in http.py"


def _changes_of_handlers(found: Findings) -> Iterator[str]:
    failed = found.preflight if found.preflight and found.preflight.objections else found.response
    assert failed is not None, "something was objected to"
    in_preflight = failed is found.preflight
    route = found.options_route if in_preflight else found.route
    fixes = ", ".join(each.fix for each in failed.objections)
    if route is not None:
        yield f"let {route.handler} ({route.place}) answer with {fixes}"
    if found.cors is None:
        instead = "or " if route is not None else ""
        instead += "take that route away and " if route is not None and in_preflight else ""
        yield f"{instead}write {_router_with_cors(found)} in http.py"


def _router_with_cors(found: Findings) -> str:
    request = found.request
    names = [name for name, _ in request.headers if name not in forbidden_headers(request.headers)]
    needed = sorted({name.lower() for name in names} - {"content-type", "accept", "accept-language"})
    listed = ", ".join(f'"{name}"' for name in ["Content-Type", *needed])
    extra = f", headers=[{listed}]" if needed else ""
    extra += ", credentials=True" if request.credentials else ""
    return f'http_router(cors=Cors(origins=["{request.origin}"]{extra}))'


def _route_json(route: RouteInfo | None) -> dict[str, str] | None:
    if route is None:
        return None
    return {"method": route.method, "path": route.path, "handler": route.handler, "place": route.place}


def _exchanged_json(exchanged: Exchanged | None) -> dict[str, Any] | None:
    if exchanged is None:
        return None
    return {
        "sent": exchanged.sent,
        "status": exchanged.answer.status,
        "headers": dict(exchanged.answer.headers.items()),
        "objections": [each._asdict() for each in exchanged.objections],
    }


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
