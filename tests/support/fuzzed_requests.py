"""Requests to the client API that are nearly right, made from a seed."""

import json
from dataclasses import dataclass
from random import Random

ENDPOINTS = (
    "/api/query",
    "/api/query_ts",
    "/api/query_at_ts",
    "/api/query_batch",
    "/api/mutation",
    "/api/action",
    "/api/function",
    "/api/run/m/echo",
    "/api/pyconvex/report",
)
OTHERS = (
    "/",
    "/version",
    "/echo",
    "/health",
    "/api/public_openapi.json",
    "/api/run/",
    "/api/run/m",
    "/api/run/%ff/%00",
    "/api/run/m//echo",
    "/api/storage/x",
    "/api/stream_function_logs?cursor=x",
    "/api/list_environment_variables",
    "/api/pyconvex/logs?history=-1",
    "/api/nowhere",
    "/http/x",
    "//api/query",
    "/api/query/",
    "/api/query?path=m:echo&args=%7B%22value%22%3A1%7D",
    "/api/query?path=m:echo&args=%7B&format=json",
    "/api/query?path=%00&path=m:echo&args=null",
)
METHODS = ("POST", "POST", "POST", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")
PATHS = (
    "m:echo",
    "m:send",
    "m:act",
    "m:fail",
    "m:hidden",
    "m.js:echo",
    "m",
    "n:echo",
    "m:e-cho",
    "../m:echo",
    "",
    ":",
    "é:echo",
    "m:" + "x" * 300,
    "\x00",
    "_system/m:echo",
)
HEADERS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("content-type", (b"application/json", b"application/json; charset=utf-8", b"text/plain", b"", b"\xff\xfe")),
    ("authorization", (b"Bearer a.b.c", b"Convex a|b", b"Basic x", b"x", b"Bearer " + b"e" * 5000, b"Convex \xff:")),
    ("convex-client", (b"npm-1.48.0", b"npm-0.1.0", b"python-0.4.0", b"nonsense", b"npm-1", b"\xff")),
    ("convex-request-id", (b"5b0f1d9c27ae4468", b"x y", b"", b"a" * 100, b"\xff")),
    ("origin", (b"http://localhost:5173", b"null", b"\xff")),
    ("access-control-request-headers", (b"x-own", b"a" * 2000)),
    ("accept-encoding", (b"gzip", b"*")),
    ("expect", (b"100-continue",)),
    ("upgrade", (b"websocket", b"h2c")),
)
SPECIAL = (
    b'{"$integer":"BwAAAAAAAAA="}',
    b'{"$integer":"x"}',
    b'{"$integer":7}',
    b'{"$float":"AAAAAAAA+H8="}',
    b'{"$float":"AAAAAAAA8D8="}',
    b'{"$bytes":"YWI="}',
    b'{"$bytes":"%"}',
    b'{"$set":[]}',
    b'{"$integer":"BwAAAAAAAAA=","x":1}',
    b'"\\ud800"',
    b'"\xff"',
    b"NaN",
    b"1e999",
    b"-0",
    b"123456789012345678901234567890",
    b'{"a":1,"a":2}',
    b'{"":1}',
    b'{"_x":1,"\\u0000":2}',
    b"[" * 70 + b"]" * 70,
    b"[" * 5000,
    b'"' + b"x" * 3000 + b'"',
)


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    headers: list[tuple[str, bytes]]
    body: bytes

    def wire(self) -> bytes:
        head = b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in self.headers)
        return b"%s %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (
            self.method.encode(),
            self.target.encode("latin-1"),
            head,
            len(self.body),
            self.body,
        )


def request(random: Random) -> Asked:
    """A request in good form, which may ask for anything."""
    target = random.choice(ENDPOINTS if random.random() < 0.8 else OTHERS)
    headers = [("content-type", b"application/json")] if random.random() < 0.9 else []
    taken = {name for name, _ in headers}
    for name, values in random.sample(HEADERS, random.choice((0, 0, 1, 1, 2, 3))):
        if name not in taken and name not in ("expect", "upgrade"):
            headers.append((name, random.choice(values)))
    return Asked(random.choice(METHODS), target, headers, body(random, target))


def garbled(random: Random) -> bytes:
    """A request whose bytes were damaged on the way."""
    asked = request(random)
    name, values = random.choice(HEADERS)
    text = bytearray(
        Asked(asked.method, asked.target, [*asked.headers, (name, random.choice(values))], asked.body).wire()
    )
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(text))
        how = random.randrange(4)
        if how == 0:
            text[place] = random.randrange(256)
        elif how == 1:
            del text[place : place + random.randint(1, 20)]
        elif how == 2:
            text[place:place] = random.randbytes(random.randint(1, 10))
        else:
            text[place:place] = text[place : place + random.randint(1, 40)]
        if not text:
            break
    return bytes(text)


def body(random: Random, target: str) -> bytes:
    """One that the endpoint may understand; now and then it is broken."""
    if "query_batch" in target:
        calls = b",".join(call(random) for _ in range(random.randint(0, 3)))
        text = b'{"queries":[%s]}' % calls
    else:
        text = call(random)
    if random.random() < 0.15:
        cut = random.randrange(len(text))
        return text[:cut] + random.randbytes(random.randint(0, 3)) + text[cut + random.randint(0, 3) :]
    return random.choice((b"", b"null", b"[]", b"\x00", b"{}")) if random.random() < 0.05 else text


def call(random: Random) -> bytes:
    fields = {
        "path": json.dumps(random.choice(PATHS[:5] if random.random() < 0.7 else PATHS)).encode(),
        "args": args(random),
    }
    if random.random() < 0.4:
        names = ("json", "convex_encoded_json", "export_json", "convex_json", "xml", "")
        fields["format"] = json.dumps(random.choice(names)).encode()
    if random.random() < 0.2:
        fields["ts"] = random.choice((b'"AAAAAAAAAAA="', b'"////////////"', b'"x"', b"5", b'"gLLg/FFyhhg="'))
    if random.random() < 0.1:
        fields[random.choice(("componentPath", "unknown", "journal"))] = value(random, 0)
    if random.random() < 0.1:
        del fields[random.choice(list(fields))]
    return b"{%s}" % b",".join(b'"%s":%s' % (name.encode(), text) for name, text in fields.items())


def args(random: Random) -> bytes:
    form = random.random()
    if form < 0.6:
        return b'{"value":%s}' % value(random, 0)
    if form < 0.8:
        return b'[{"value":%s}]' % value(random, 0)
    return value(random, 0)


def value(random: Random, depth: int) -> bytes:
    form = random.random()
    if form < 0.35:
        return random.choice(SPECIAL)
    if depth < 3 and form < 0.5:
        return b"[%s]" % b",".join(value(random, depth + 1) for _ in range(random.randint(0, 4)))
    if depth < 3 and form < 0.65:
        entries = (b'"k%d":%s' % (number, value(random, depth + 1)) for number in range(random.randint(0, 4)))
        return b"{%s}" % b",".join(entries)
    return random.choice((b"null", b"true", b"0", b"1.5", b"-7", b'"text"', b'"\xc3\xa9"', b'""'))
