"""`data:` URIs (RFC 2397): a small document written down in the address itself."""

import base64
import re
from urllib.parse import unquote_to_bytes

_SPACE = re.compile(rb"[ \t\n\f\r]+")


def is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"


def decode_data_uri(uri: str) -> bytes:
    """The document in `uri`, whatever its media type: base64 or percent-encoded.

    Raises:
        ValueError: no comma, or what is not base64 where it says so.
    """
    head, comma, encoded = uri.partition(",")
    if not comma:
        raise ValueError("a data: URI has a comma before its data")
    data = unquote_to_bytes(encoded)
    if not head.rstrip().lower().endswith(";base64"):
        return data
    digits = _SPACE.sub(b"", data).rstrip(b"=")  # as browsers do: space and padding do not count
    return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
