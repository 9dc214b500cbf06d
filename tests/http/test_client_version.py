"""`http/client_version.py`: the Convex-Client header."""

import pytest

from pyconvex.errors import RequestRefused
from pyconvex.http.client_version import default_format, wants_structured_lines


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "json"),
        (b"npm-1.48.0", "json"),
        (b"npm-1.4.1", "json"),
        (b"npm-1.4.0", "convex_encoded_json"),
        (b"npm-cli-1.4.0", "convex_encoded_json"),
        (b"npm-cli-1.48.0-alpha.1", "json"),
        (b"python-0.4.9", "convex_encoded_json"),
        (b"python-0.8.1", "json"),
        (b"python-0.8.1+local", "json"),
        (b"my-own-client-0.0.1", "json"),
    ],
)
def test_default_formats(header: bytes | None, expected: str) -> None:
    assert default_format(header) == expected


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"npm", "InvalidClientVersion"),
        (b"npm-1.2", "InvalidClientVersion"),
        (b"1.2.3", "InvalidClientVersion"),
        (b"", "InvalidClientVersion"),
        (b"npm-1.2.3 <script>", "InvalidClientVersion"),
        (b"\xff\xfe", "InvalidClientVersion"),
        (b"npm-0.19.1", "ClientVersionUnsupported"),
        (b"python-0.0.2", "ClientVersionUnsupported"),
        (b"rust-0.0.1", "ClientVersionUnsupported"),
    ],
)
def test_refusals(header: bytes, code: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        default_format(header)
    assert (caught.value.status, caught.value.code) == (400, code)


def test_who_gets_log_lines_as_objects() -> None:
    assert wants_structured_lines(b"npm-cli-1.48.0")
    assert not wants_structured_lines(b"npm-1.48.0")
    assert not wants_structured_lines(None)
