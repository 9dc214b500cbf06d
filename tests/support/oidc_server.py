"""A provider of tokens on a loopback port: its discovery document and its keys, answered as a test wants them."""

import json
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .tokens import IMPORTS, Issuer, SigningKey, jwks

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
JSON_TYPE = {"content-type": "application/json"}


@dataclass
class Page:
    """One answer. A `body` that is no text is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON_TYPE))
    release: threading.Event | None = None
    """What to wait for before answering."""

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()


@dataclass
class OidcServer:
    """`pages` by path; `asked` counts the requests for each."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict[str, Page])
    asked: Counter[str] = field(default_factory=Counter[str])
    accepted: list[str | None] = field(default_factory=list["str | None"])
    """The `Accept` header of each request."""

    def publish(self, *keys: SigningKey, **headers: str) -> None:
        """Serve discovery, and these keys."""
        self.pages[DISCOVERY] = Page({"issuer": self.url, "jwks_uri": f"{self.url}{KEYS}"})
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[KEYS] = Page(jwks(*keys), headers={**JSON_TYPE, **given})

    def issuer(self, key: SigningKey, **parts: Any) -> "OidcIssuer":
        """A provider with this server's address that signs with `key`."""
        return OidcIssuer(self.url, key=key, server=self, **parts)

    @property
    def keys(self) -> Page:
        return self.pages[KEYS]

    @property
    def discovery(self) -> Page:
        return self.pages[DISCOVERY]

    def until_asked(self, path: str, times: int) -> None:
        until = time.monotonic() + 20
        while self.asked[path] < times:
            assert time.monotonic() < until, f"{path} was asked for {self.asked[path]} times, not {times}"
            time.sleep(0.002)


@dataclass
class OidcIssuer(Issuer):
    """A provider that `oidc(...)` describes, or `custom_jwt(...)` with keys that have to be fetched."""

    server: OidcServer | None = None

    def call(self) -> str:
        return f"oidc(domain={self.url!r}, application_id={self.audience!r})"

    def custom_config(self) -> str:
        return (
            f"{IMPORTS}default = auth_config(custom_jwt(issuer={self.url!r}, jwks={self.url + KEYS!r},"
            f" algorithm={self.key.algorithm!r}, application_id={self.audience!r}))\n"
        )


@contextmanager
def oidc_server() -> Generator[OidcServer]:
    """Serve nothing yet; for as long as the block runs."""
    listening = _Listening()
    server = listening.provider
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        for page in server.pages.values():
            if page.release is not None:
                page.release.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = OidcServer(f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Listening)
        server = self.server.provider
        server.asked[self.path] += 1
        server.accepted.append(self.headers.get("accept"))
        page = server.pages.get(self.path) or Page(b"nothing here", 404, {})
        if page.release is not None:
            page.release.wait(20)
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(page.content)))
        self.end_headers()
        try:
            self.wfile.write(page.content)
        except ConnectionError:
            return  # whoever asked did not want all of it

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are counted."""
