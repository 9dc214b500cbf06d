"""Content types that pyconvex itself answers with."""

from .asgi import RawHeaders

JSON: RawHeaders = [(b"content-type", b"application/json")]
TEXT: RawHeaders = [(b"content-type", b"text/plain; charset=utf-8")]
BARE_TEXT: RawHeaders = [(b"content-type", b"text/plain")]
