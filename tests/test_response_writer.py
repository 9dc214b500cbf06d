"""What the writer of responses writes is what a client reads: h11's client, which is not ours, says what that is."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.host.response_writer import ResponseWriter, UnsendableHead, WrongLength

STATUSES = (200, 201, 204, 205, 206, 301, 304, 400, 404, 413, 418, 500, 503, 599, 700, 999)
VERSIONS = ("1.1", "1.0")
TOKEN = st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True)
VALUE = st.from_regex(rb"([\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]{0,20}[\x21-\x7e\x80-\xff])?)?", fullmatch=True)
HEADERS = st.lists(
    st.tuples(TOKEN, VALUE).filter(lambda pair: pair[0].lower() not in {b"content-length", b"transfer-encoding"}),
    max_size=5,
)
PARTS = st.lists(st.binary(max_size=50), max_size=5)


def heard(method: str, text: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes, bool]:
    """Status, headers and body as a client reads them, and whether it could send another request."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(text)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    if event is h11.NEED_DATA:  # only the end of the connection ends it
        client.receive_data(b"")
        event = client.next_event()
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data[0] == b""
    return response.status_code, list(response.headers), body, client.their_state is h11.DONE


def written(
    writer: ResponseWriter, status: int, headers: list[tuple[bytes, bytes]], parts: list[bytes], *, last: bool
) -> bytes:
    return b"".join((writer.head(status, headers, ends_connection=last), *map(writer.part, parts), writer.end()))


@given(
    st.sampled_from(("GET", "HEAD", "POST", "DELETE")),
    st.sampled_from(VERSIONS),
    st.sampled_from(STATUSES),
    HEADERS,
    PARTS,
    st.booleans(),
    st.booleans(),
)
def test_a_client_reads_what_was_written(
    method: str,
    version: str,
    status: int,
    headers: list[tuple[bytes, bytes]],
    parts: list[bytes],
    is_announced: bool,
    last: bool,
) -> None:
    body = b"".join(parts)
    sent = [*headers, (b"Content-Length", b"%d" % len(body))] if is_announced else headers
    writer = ResponseWriter(method, version)
    text = written(writer, status, sent, parts, last=last)
    read_status, read_headers, read_body, stays = heard(method, text)
    assert read_status == status
    hop_by_hop = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
    expected = [(name.lower(), value) for name, value in sent if name.lower() not in hop_by_hop]
    assert [header for header in read_headers if header[0] not in hop_by_hop] == expected
    assert read_body == (b"" if method == "HEAD" or status in (204, 304) else body)
    assert stays is not writer.ends_connection
    assert writer.ends_connection or not last


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, [(b"x", b"a\r\nset-cookie: b")]),
        (200, [(b"x", b"a\nb")]),
        (200, [(b"x", b"a\x00b")]),
        (200, [(b"x y", b"a")]),
        (200, [(b"x:", b"a")]),
        (200, [(b"x: y", b"a")]),
        (200, [(b"", b"a")]),
        (200, [("é".encode(), b"a")]),
        (200, [(b"content-length", b"1"), (b"content-length", b"1")]),
        (200, [(b"content-length", b"-1")]),
        (200, [(b"content-length", b"")]),
        (100, []),
        (99, []),
        (1000, []),
    ],
)
def test_what_cannot_be_sent_is_refused(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(UnsendableHead):
        ResponseWriter("GET", "1.1").head(status, headers, ends_connection=False)


def test_a_body_has_the_length_that_was_announced() -> None:
    long = ResponseWriter("GET", "1.1")
    long.head(200, [(b"content-length", b"3")], ends_connection=False)
    assert long.part(b"ab") == b"ab"
    with pytest.raises(WrongLength):
        long.part(b"cd")
    short = ResponseWriter("GET", "1.1")
    short.head(200, [(b"content-length", b"3")], ends_connection=False)
    short.part(b"ab")
    with pytest.raises(WrongLength):
        short.end()


def test_what_concerns_the_connection_is_the_servers_to_say() -> None:
    headers = [(b"Connection", b"x, upgrade"), (b"Transfer-Encoding", b"gzip"), (b"Upgrade", b"h2c"), (b"X", b"y")]
    text = ResponseWriter("GET", "1.1").head(200, headers, ends_connection=False)
    assert text == b"HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, close"])
def test_an_application_may_close_the_connection(value: bytes) -> None:
    writer = ResponseWriter("GET", "1.1")
    text = writer.head(503, [(b"Connection", value), (b"content-length", b"0")], ends_connection=False)
    assert text == b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    assert writer.ends_connection


def test_after_a_head_that_cannot_be_sent_another_can() -> None:
    writer = ResponseWriter("GET", "1.1")
    with pytest.raises(UnsendableHead):
        writer.head(200, [(b"content-length", b"3"), (b"x", b"a\nb")], ends_connection=False)
    text = writer.head(500, [(b"content-length", b"0")], ends_connection=True) + writer.end()
    assert heard("GET", text) == (500, [(b"content-length", b"0"), (b"connection", b"close")], b"", False)
