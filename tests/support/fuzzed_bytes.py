"""What may arrive on a socket that was meant for HTTP, made from a seed: from good requests to noise."""

from random import Random

METHODS = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE", b"CONNECT", b"get", b"BREW", b"", b"\xff")
TARGETS = (
    b"/",
    b"/a/b",
    b"//a",
    b"/../../etc/passwd",
    b"/%2e%2e/%2F..%2f",
    b"/%00",
    b"/%ff%zz%",
    b"/a?q=%%&&=;",
    b"*",
    b"http://x/a",
    b"http://other/a",
    b"other:443",
    b"?",
    b"/\xc3\xa9",
    b"/" + b"a" * 5000,
    b"/a#b",
    b"\\a",
    b"",
)
VERSIONS = (b"HTTP/1.1",) * 6 + (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"")
HEADERS = (
    b"host: x",
    b"host: y",
    b"host: [",
    b"Host:x",
    b"connection: close",
    b"connection: upgrade",
    b"connection: keep-alive, x",
    b"upgrade: websocket",
    b"upgrade: h2c",
    b"sec-websocket-version: 13",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    b"expect: 100-continue",
    b"expect: something",
    b"content-encoding: gzip",
    b"content-type: application/json",
    b"content-type: multipart/form-data; boundary=x",
    b"content-length: 0",
    b"content-length: 5",
    b"content-length: 99999999999",
    b"content-length: -1",
    b"transfer-encoding: chunked",
    b"transfer-encoding: xchunked",
    b"authorization: Bearer a.b.c",
    b"authorization: \xff\xfe",
    b"cookie: a=b; c",
    b"x-forwarded-proto: https",
    b"x: " + b"a" * 3000,
    b"x: a\x00b",
    b" folded",
    b": empty",
    b"no colon",
)
CHUNKS = (
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"1;x=y\r\na\r\n",
    b"g\r\n",
    b"5\r\nhell\r\n",
    b"-1\r\n",
    b"ffffffffffffffffff\r\n",
    b"0\r\nx: y\r\n\r\n",
    b"\r\n",
)


def any_bytes(random: Random) -> bytes:
    """One or several requests, or what is left of them; now and then only noise."""
    form = random.random()
    if form < 0.1:
        return random.randbytes(random.randint(1, 300))
    text = b"".join(_request(random) for _ in range(random.choice((1, 1, 1, 2, 3, 8))))
    if form < 0.35:
        return text
    return _damaged(random, text)


def cut(random: Random, text: bytes) -> list[bytes]:
    """The same bytes in a few pieces."""
    places = sorted(random.randrange(len(text) + 1) for _ in range(random.choice((0, 0, 1, 3))))
    return [text[start:stop] for start, stop in zip([0, *places], [*places, len(text)], strict=True)]


def _request(random: Random) -> bytes:
    headers = [] if random.random() < 0.1 else [b"host: x"]
    headers += random.sample(HEADERS, random.choice((0, 0, 1, 2, 5)))
    body = b"".join(random.choices(CHUNKS, k=random.randint(0, 4)))
    if random.random() < 0.4:
        body = random.randbytes(random.randint(0, 2000))
        headers.append(b"content-length: %d" % len(body))
    elif random.random() < 0.5:
        headers.append(b"transfer-encoding: chunked")
    line = b" ".join((_often(random, METHODS, 2), _often(random, TARGETS, 2), random.choice(VERSIONS)))
    return b"\r\n".join([line, *headers, b"", body])


def _often(random: Random, values: tuple[bytes, ...], good: int) -> bytes:
    return random.choice(values[:good] if random.random() < 0.6 else values)


def _damaged(random: Random, text: bytes) -> bytes:
    damaged = bytearray(text)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(damaged) + 1)
        how = random.randrange(6)
        if how == 0:
            damaged[place : place + 1] = random.randbytes(1)
        elif how == 1:
            del damaged[place : place + random.randint(1, 30)]
        elif how == 2:
            damaged[place:place] = random.choice((b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\r\n\r\n", b"\t"))
        elif how == 3:
            damaged[place:place] = damaged[place : place + random.randint(1, 80)]
        elif how == 4:
            del damaged[place:]
        else:
            damaged = bytearray(damaged.replace(b"\r\n", b"\n", random.randint(1, 3)))
    return bytes(damaged)
