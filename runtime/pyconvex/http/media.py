"""Content types that pyconvex itself answers with."""

from .asgi import RawHeaders

JSON: RawHeaders = [(b"content-type", b"application/json")]
TEXT: RawHeaders = [(b"content-type", b"text/plain; charset=utf-8")]
BARE_TEXT: RawHeaders = [(b"content-type", b"text/plain")]
BYTES: RawHeaders = [(b"content-type", b"application/octet-stream"), (b"x-content-type-options", b"nosniff")]
JSON_LINES: RawHeaders = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
