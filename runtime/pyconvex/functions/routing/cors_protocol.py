"""What a browser does with a request to another origin, step by step (https://fetch.spec.whatwg.org/#http-cors-protocol).

Pure: a request that a page would make and the answers a server gives go in, what a browser objects to comes out.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from pyconvex.functions.fetch.headers import Headers

SAFELISTED_METHODS = frozenset({"GET", "HEAD", "POST"})
"""https://fetch.spec.whatwg.org/#cors-safelisted-method"""

READABLE_HEADERS = frozenset(
    {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"}
)
"""https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name"""

FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})

_FORBIDDEN_HEADERS = frozenset(
    {
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
_UNSAFE_BYTE = re.compile(r'[\x00-\x08\x0a-\x1f"():<>?@\[\\\]{}\x7f]')
_LANGUAGE = re.compile(r"[0-9A-Za-z *,\-.;=]*")
_MIME_TYPE = re.compile(
    r"[ \t\r\n]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t\r\n]*(?:;.*)?", re.DOTALL
)
_SIMPLE_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE_MAX, _VALUES_MAX = 128, 1024
"""Bytes of one safelisted header, and of all of them together, that go without a preflight."""


class PageRequest(Struct, frozen=True):
    """A request that a page makes with `fetch`.

    Args:
        origin: of the page, `https://my.site`, or `null`.
        headers: those that the page sets.
        credentials: whether it says `credentials: "include"`.
    """

    origin: str
    method: str
    headers: Sequence[tuple[str, str]] = ()
    credentials: bool = False


class Answer(NamedTuple):
    """The head of a response."""

    status: int
    headers: Headers


class Objection(NamedTuple):
    """Why a browser does not go on: `header` is the one that is missing or wrong, None when it is the status."""

    header: str | None
    message: str
    fix: str
    """A header line (or status) that would be right."""


def forbidden_headers(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Names of headers that a page cannot set: a browser drops them (#forbidden-request-header)."""
    lower = [name.lower() for name, _ in headers]
    return [name for name in lower if name in _FORBIDDEN_HEADERS or name.startswith(("proxy-", "sec-"))]


def is_safelisted(name: str, value: str) -> bool:
    """Whether a header goes without a preflight (#cors-safelisted-request-header)."""
    if len(value.encode("latin-1", "replace")) > _VALUE_MAX:
        return False
    match name.lower():
        case "accept":
            return not _UNSAFE_BYTE.search(value)
        case "accept-language" | "content-language":
            return _LANGUAGE.fullmatch(value) is not None
        case "content-type":
            essence = _MIME_TYPE.fullmatch(value)
            return not _UNSAFE_BYTE.search(value) and essence is not None and essence[1].lower() in FORM_TYPES
        case "range":
            given = _SIMPLE_RANGE.fullmatch(value)
            return given is not None and (not given[2] or int(given[1]) <= int(given[2]))
        case _:
            return False


def unsafe_names(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Names of headers that need a preflight, lower-case and sorted (#cors-unsafe-request-header-names)."""
    unsafe: set[str] = set()
    safe: set[str] = set()
    size = 0
    for name, value in headers:
        if is_safelisted(name, value):
            safe.add(name.lower())
            size += len(value.encode("latin-1", "replace"))
        else:
            unsafe.add(name.lower())
    return sorted(unsafe | safe if size > _VALUES_MAX else unsafe)


def preflight_reasons(request: PageRequest) -> list[str]:
    """Why a browser asks before it sends `request`; none when it sends it at once."""
    reasons = [] if request.method in SAFELISTED_METHODS else [f"the method {request.method}"]
    values = {name.lower(): value for name, value in request.headers}
    for name in unsafe_names(request.headers):
        shown = f"the content type {values[name]}" if name == "content-type" else f"the header {name}"
        reasons.append(shown)
    return reasons


def preflight_headers(request: PageRequest) -> dict[str, str]:
    """What a browser sends with the preflight (#cors-preflight-fetch, steps 1 to 5); never credentials."""
    headers = {"accept": "*/*", "origin": request.origin, "access-control-request-method": request.method}
    if names := unsafe_names(request.headers):
        headers["access-control-request-headers"] = ",".join(names)
    return headers


def check_preflight(request: PageRequest, answer: Answer) -> list[Objection]:
    """What a browser objects to in the answer to a preflight (#cors-preflight-fetch, steps 7 and 8)."""
    found = check_response(request, answer)
    if not 200 <= answer.status <= 299:
        redirect = " (a preflight is not redirected)" if 300 <= answer.status <= 399 else ""
        text = f"the status is {answer.status}, and a preflight needs one from 200 to 299{redirect}"
        found.insert(0, Objection(None, text, "status 204"))
    return found + _check_method(request, answer) + _check_names(request, answer)


def check_response(request: PageRequest, answer: Answer) -> list[Objection]:
    """The CORS check (https://fetch.spec.whatwg.org/#cors-check): whether the page may see `answer`."""
    header = "access-control-allow-origin"
    fix = f"{header}: {request.origin}"
    allowed = answer.headers.get(header)
    if allowed is None:
        return [Objection(header, f"{header} is missing", fix)]
    if allowed == "*" and not request.credentials:
        return []
    if allowed != request.origin:
        return [Objection(header, _wrong_origin(allowed, request), fix)]
    return _check_credentials(request, answer) if request.credentials else []


def hidden_headers(request: PageRequest, answer: Answer) -> list[str]:
    """Names of headers of `answer` that the page cannot read (#concept-filtered-response-cors)."""
    exposed = {name.lower() for name in _listed(answer, "access-control-expose-headers") or ()}
    if "*" in exposed and not request.credentials:
        return []
    shown = READABLE_HEADERS | exposed
    own = (name for name in answer.headers if not name.startswith("access-control-"))
    return [name for name in own if name not in shown and name not in ("date", "server", "set-cookie", "vary")]


def lacks_vary(answer: Answer) -> bool:
    """Whether a cache may hand `answer` to pages of other origins, which it does not allow
    (https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches)."""
    if answer.headers.get("access-control-allow-origin") in (None, "*"):
        return False
    varied = [name.strip().lower() for name in (answer.headers.get("vary") or "").split(",")]
    return "origin" not in varied and "*" not in varied


def _wrong_origin(allowed: str, request: PageRequest) -> str:
    header = "access-control-allow-origin"
    if allowed == "*":
        return f"{header} is *, which does not count for requests with credentials"
    if "," in allowed:
        return f"{header} is {allowed!r}: it names one origin, never a list"
    if allowed.rstrip("/").lower() == request.origin.lower():
        return f"{header} is {allowed!r}, which differs from {request.origin!r} in letter case or a slash"
    if "*" in allowed:
        return f"{header} is {allowed!r}: there are no patterns, only * or one whole origin"
    return f"{header} is {allowed!r}, not {request.origin!r}"


def _check_credentials(request: PageRequest, answer: Answer) -> list[Objection]:
    header = "access-control-allow-credentials"
    given = answer.headers.get(header)
    if given == "true":
        return []
    text = f"{header} is missing" if given is None else f"{header} is {given!r}, not 'true' in lower case"
    return [Objection(header, text, f"{header}: true")]


def _check_method(request: PageRequest, answer: Answer) -> list[Objection]:
    header = "access-control-allow-methods"
    methods = _listed(answer, header)
    if methods is None:
        return [Objection(header, f"{header} is no list of methods", f"{header}: {request.method}")]
    if request.method in SAFELISTED_METHODS or request.method in methods:
        return []
    if "*" in methods and not request.credentials:
        return []
    given = answer.headers.get(header)
    text = f"{header} is missing" if given is None else f"{header} is {given!r}, without {request.method}"
    if "*" in methods:
        text = f"{header} is *, which does not count for requests with credentials"
    return [Objection(header, text, f"{header}: {request.method}")]


def _check_names(request: PageRequest, answer: Answer) -> list[Objection]:
    header = "access-control-allow-headers"
    needed = unsafe_names(request.headers)
    listed = _listed(answer, header)
    fix = f"{header}: {', '.join(needed)}"
    if listed is None:
        return [Objection(header, f"{header} is no list of header names", fix)]
    names = {name.lower() for name in listed}
    wild = "*" in names and not request.credentials
    # the wildcard never covers authorization (#cors-non-wildcard-request-header-name)
    lacking = [name for name in needed if name not in names and (not wild or name == "authorization")]
    if not lacking:
        return []
    without = " and ".join(lacking)
    given = answer.headers.get(header)
    text = f"{header} is missing, and has to name {without}"
    if given is not None:
        text = f"{header} is {given!r}, without {without}"
    if "*" in names:
        text = f"{header} is *, which does not cover {'authorization' if wild else 'requests with credentials'}"
    return [Objection(header, text, fix)]


def _listed(answer: Answer, header: str) -> list[str] | None:
    """The tokens that a header lists (#extract-header-list-values); None when it is no such list."""
    given = answer.headers.get(header)
    words = [word.strip(" \t") for word in given.split(",")] if given is not None else []
    words = [word for word in words if word]
    return words if all(_TOKEN.fullmatch(word) for word in words) else None
