"""Fetching a provider's documents, in whatever thread: over http(s) with limits, or out of a `data:` URI.

Standard library only, and imported with the first token.
"""

import math
import re
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO, Final
from urllib.parse import urlsplit

from pyconvex import __version__
from pyconvex.engine.auth.key_documents import Fetched, FetchFailed
from pyconvex.functions.data_uri import decode_data_uri, is_data_uri

ANSWER_SECONDS: Final = 5.0
"""How long a server may be silent."""
DOCUMENT_BYTES_MAX: Final = 512 * 1024
UNSAID_SECONDS: Final = 300.0
"""For how long a document counts whose server says nothing about that."""
FRESH_SECONDS_MIN: Final = 5.0
"""A document is not fetched for every single token, whatever its server says."""
FRESH_SECONDS_MAX: Final = 24 * 3600.0


def fetch(url: str) -> Fetched:
    """The document at `url`. Blocks.

    Raises:
        FetchFailed: it cannot be had.
    """
    if is_data_uri(url):
        try:
            return Fetched(decode_data_uri(url), None, math.inf)
        except ValueError as error:
            raise FetchFailed(f"the data: URI cannot be read: {error}") from None
    request = urllib.request.Request(
        url, headers={"Accept": "application/json", "User-Agent": f"pyconvex/{__version__}"}
    )
    try:
        with _opener().open(request, timeout=ANSWER_SECONDS) as answer:
            if answer.status != 200:
                raise FetchFailed(f"{url} answered with status {answer.status}")
            return _read(url, answer, answer.headers)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchFailed(
            f"{url} answered with status {error.code}", passing=error.code >= 500 or error.code == 429
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchFailed(f"{url} cannot be reached: {reason}", passing=True) from None


def lifetime(cache_control: str | None, age: str | None = None) -> float:
    """Seconds for which an answer with these headers counts (RFC 9111, sections 4.2 and 5.2.2)."""
    directives = (cache_control or "").lower()
    if re.search(r"\bno-(store|cache)\b", directives):
        return FRESH_SECONDS_MIN
    stated = re.search(r'(?:^|[\s,])max-age\s*=\s*"?(\d{1,12})\b', directives)
    if stated is None:
        return UNSAID_SECONDS
    passed = int(age) if age is not None and re.fullmatch(r"\d{1,12}", age) else 0
    return min(max(float(int(stated[1]) - passed), FRESH_SECONDS_MIN), FRESH_SECONDS_MAX)


def _read(url: str, answer: IO[bytes], headers: Message) -> Fetched:
    body = answer.read(DOCUMENT_BYTES_MAX + 1)
    if len(body) > DOCUMENT_BYTES_MAX:
        raise FetchFailed(f"{url} answered with more than {DOCUMENT_BYTES_MAX} bytes")
    media_type = None
    if headers.get("content-type") is not None:
        media_type = headers.get_content_type()
        if (headers.get_content_charset() or "utf-8") not in ("utf-8", "utf8"):
            media_type += f"; charset={headers.get_content_charset()}"
    return Fetched(body, media_type, lifetime(headers.get("cache-control"), headers.get("age")))


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to http, to a file, or anywhere else of that kind."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != req.type:
            raise FetchFailed(f"{req.full_url} leads to another kind of address, {newurl[:200]!r}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # typeshed wants the class, any headers do


def _opener() -> urllib.request.OpenerDirector:
    """Http and https only, through the proxies that the process is told to use."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameScheme(),
    ):
        opener.add_handler(handler)
    return opener
