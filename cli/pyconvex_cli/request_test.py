"""A kept request as the text of a pytest test, without the secrets it came with."""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pyconvex.engine.requests.redaction import is_secret_header
from pyconvex_cli.python_source import block, bytes_assigned, literal
from pyconvex_cli.request_secrets import (
    SUBSTITUTED_MIN,
    TEST_SECRET,
    Signer,
    identity_of,
    signer_of,
    source_of,
    value_in_test,
)

_TRANSPORT = re.compile(
    r"host|content-length|transfer-encoding|connection|keep-alive|accept-encoding|te|trailer|upgrade|expect|via"
    r"|forwarded|x-forwarded-.*|x-real-ip|cf-.*"
)


class RequestTest:
    """The test of one request.

    Args:
        request: as the admin API gives it, with its secrets.
        variables: of the deployment.
        used: names that occur in the functions; other variables are of no use to the test.
        folder: of the functions, relative to the project.
    """

    def __init__(
        self, request: Mapping[str, Any], variables: Mapping[str, str], used: frozenset[str], folder: str
    ) -> None:
        self.request = request
        self.name = _name(request)
        self._folder = folder
        self._body = b64decode(request["body"])
        self._pairs = list(_joined(request["headers"]).items())
        self._signer = signer_of(self._pairs, self._body, request["ts"], variables)
        self._identity = identity_of(self._pairs)
        wanted = used if self._signer is None else used | {self._signer.variable}
        self._env = {name: value_in_test(name, value) for name, value in variables.items() if name in wanted}
        if self._signer is not None:
            self._env[self._signer.variable] = TEST_SECRET
        self._known = {
            value: name for name, value in variables.items() if name in self._env and len(value) >= SUBSTITUTED_MIN
        }
        self._left_out = [name for name, value in self._pairs if self._is_lost(name, value)]

    def text(self, status: int | None) -> str:
        """The module. It expects `status`; with None its function tells what the status is."""
        lines = [
            self._described(),
            "",
            "from datetime import UTC, datetime",
            "",
            *([f"from pyconvex.server import {self._signer.scheme.__name__}"] if self._signer else []),
            "from pyconvex.testing import ConvexTest",
            "",
            *self._constants(),
            "",
            "",
            f"async def {self.name}(){'' if status is None else ' -> None'}:",
            *(f"    {line}" for line in self._statements(status)),
        ]
        return "\n".join(lines) + "\n"

    def _described(self) -> str:
        path = self.request["path"].partition("?")[0].replace("\\", "\\\\").replace('"', '\\"')
        at = self._at()
        when = f"{at:%Y-%m-%d} at {at:%H:%M:%S} UTC"
        return f'"""{self.request["method"]} {path} as it came in on {when} (request {self.request["id"]})."""'

    def _constants(self) -> Iterator[str]:
        at = self._at()
        yield f"NOW = datetime({at.year}, {at.month}, {at.day}, {at.hour}, {at.minute}, {at.second}, tzinfo=UTC)"
        if self._env:
            yield from block(
                "ENV = {", (f"{literal(name)}: {literal(value)}" for name, value in self._env.items()), "}"
            )
        if self._identity is not None:
            yield from block("IDENTITY = {", (f"{literal(n)}: {literal(v)}" for n, v in self._identity.items()), "}")
        if self._body:
            yield from bytes_assigned("BODY", self._body)
        if headers := self._headers():
            yield from block("HEADERS = {", headers, "}")
        for name in self._left_out:
            yield f"# The header {name} was left out: it is a secret."

    def _headers(self) -> list[str]:
        made = frozenset[str]() if self._signer is None else self._signer.headers
        entries = [
            f"{literal(name)}: {source_of(value, self._known)}"
            for name, value in self._pairs
            if not _TRANSPORT.fullmatch(name) and name not in made and not self._is_lost(name, value)
            if not (name == "authorization" and self._identity is not None)
        ]
        return entries if self._signer is None else [*entries, _signing(self._signer, body=bool(self._body))]

    def _is_lost(self, name: str, value: str) -> bool:
        """Whether a header is secret, and nothing can stand for it."""
        if name == "authorization" and self._identity is not None:
            return False
        return is_secret_header(name) and not any(known in value for known in self._known)

    def _statements(self, status: int | None) -> Iterator[str]:
        asked = "t" if self._identity is None else "t.with_identity(IDENTITY)"
        given = [source_of(self.request["path"], self._known), f"method={literal(self.request['method'])}"]
        given += ["headers=HEADERS"] * bool(self._headers()) + ["body=BODY"] * bool(self._body)
        yield f"async with ConvexTest({literal(self._folder)}{', env=ENV' if self._env else ''}, now=NOW) as t:"
        yield f"    response = await {asked}.fetch({', '.join(given)})"
        if status is None:
            yield "    return response.status"
            return
        if status != self.request["status"]:
            yield f"    # It was {self.request['status']}: arrange what the request needs, then expect that."
        yield f"    assert response.status == {status}"

    def _at(self) -> datetime:
        return datetime.fromtimestamp(self.request["ts"] / 1000, UTC)


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The values of each header in one (RFC 9110, section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _name(request: Mapping[str, Any]) -> str:
    path = re.sub(r"[^a-z0-9]+", "_", request["path"].partition("?")[0].lower()).strip("_")
    return f"test_{request['method'].lower()}_{path[:60] or 'root'}"


def _signing(signer: Signer, *, body: bool) -> str:
    at = ", at=NOW" if signer.has_time else ""
    signed = "BODY" if body else 'b""'
    return f"**{signer.scheme.__name__}(ENV[{literal(signer.variable)}]).sign({signed}{signer.arguments}{at})"
