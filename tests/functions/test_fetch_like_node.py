"""Our Fetch classes against Node's: one table of cases, run through both.

Where Convex differs from the standard (the content type of `URLSearchParams` in a response, `Response.error()`), other
tests say so. Left out is what Node 20 does not do as the standard says: some setters of URLs whose scheme is not
special, characters that are not ASCII beside `%` in a query string, a second byte order mark, `?` at the start of a
form, and the letters of a boundary inside a part.
"""

import asyncio
import base64
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from pyconvex.server import URL, Blob, File, FormData, Headers, Request, Response, URLSearchParams
from support.fetch_in_node import in_node

PARTS = ("href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash")
SNAKE = {"getAll": "get_all", "getSetCookie": "get_set_cookie"}

Case = list[Any]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def of_url(text: str, base: str | None) -> Any:
    url = URL(text, base)
    return {part: getattr(url, part) for part in PARTS}


def of_set(text: str, changes: Sequence[tuple[str, str]]) -> Any:
    url = URL(text)
    params = url.search_params
    results: list[Any] = []
    for part, value in changes:
        setattr(url, part, value)
        results.append([url.href, pairs(params)])
    return results


def pairs(items: URLSearchParams | Headers) -> list[list[str]]:
    return [list(pair) for pair in items.items()]


def called(target: object, calls: Sequence[Sequence[str]]) -> list[Any]:
    return [getattr(target, SNAKE.get(name, name))(*values) for name, *values in calls]


def of_params(init: Any, calls: Sequence[Sequence[str]]) -> Any:
    params = URLSearchParams(init)
    return [called(params, calls), pairs(params), str(params), params.size]


def of_live(text: str, calls: Sequence[Sequence[str]]) -> Any:
    url = URL(text)
    results: list[str] = []
    for call in calls:
        called(url.search_params, [call])
        results.append(url.href)
    return results


def of_headers(init: Any, calls: Sequence[Sequence[str]]) -> Any:
    headers = Headers(init)
    return [called(headers, calls), pairs(headers)]


def of_response(body: str | None, init: dict[str, Any]) -> Any:
    options = {"status_text" if name == "statusText" else name: value for name, value in init.items()}
    response = Response(body, **options)
    return [response.status, response.ok, response.status_text, pairs(response.headers), response.body is not None]


def of_request(text: str, init: dict[str, Any]) -> Any:
    try:
        request = Request(text, **init)
    except ValueError as error:
        raise TypeError from error  # a URL that is none: a ValueError in Python
    return [request.method, str(request.url), pairs(request.headers), request.body is not None]


def of_blob(text: str, type: str, bounds: Sequence[Any] | None) -> Any:
    blob = Blob([base64.b64decode(text)], type=type)
    part = blob if bounds is None else blob.slice(*bounds)
    return [part.size, part.type, b64(asyncio.run(part.bytes())), asyncio.run(part.text())]


def of_form(body: str, type: str) -> Any:
    form = asyncio.run(Response(base64.b64decode(body), headers={"content-type": type}).form_data())
    return [
        [name, [value.name, b64(content(value))] if isinstance(value, File) else value] for name, value in form.items()
    ]


def content(blob: Blob) -> bytes:
    return asyncio.run(blob.bytes())


def of_sent(entries: Sequence[Sequence[str]]) -> Any:
    form = FormData()
    for name, value, *file in entries:
        if file:
            form.append(name, Blob([value], type=file[1]), file[0])
        else:
            form.append(name, value)
    response = Response(form)
    boundary = response.headers["content-type"].partition("boundary=")[2]
    return asyncio.run(response.text()).replace(boundary, "BOUNDARY")


def of_text(body: str) -> Any:
    return asyncio.run(Response(base64.b64decode(body)).text())


OURS: dict[str, Callable[..., Any]] = {
    "url": of_url,
    "set": of_set,
    "params": of_params,
    "live": of_live,
    "headers": of_headers,
    "response": of_response,
    "request": of_request,
    "blob": of_blob,
    "form": of_form,
    "sent": of_sent,
    "text": of_text,
}


def ours(case: Case) -> Any:
    """What we make of it; `TypeError` or `ValueError` itself where we raise one."""
    kind, *arguments = case
    try:
        return OURS[kind](*arguments)
    except (TypeError, ValueError) as error:
        return TypeError if isinstance(error, TypeError) or kind in ("url", "set") else ValueError


def compare(cases: list[Case]) -> None:
    differences = [
        (case, {"ours": mine, "node": theirs})
        for case, theirs in zip(cases, in_node(cases), strict=True)
        if (mine := ours(case)) != theirs
    ]
    assert differences == []


BASES = [None, "http://u:p@h:81/a/b/c?q#f", "file:///C:/d/e", "mailto:x@y", "foo://h/a/b", "https://h"]
TEXTS = """
 http://h | HTTP://H/ | http:h | http:/h | http:///h | http:\\\\h\\p | //other/x | /x | x/y | ./x | ../../x | ?q
 #f | . | http://h:80 | http://h:443 | https://h:443 | ws://h:80/ | wss://h:443/ | ftp://h:21/ | http://h:0
 http://h:65535 | http://h:65536 | http://h:-1 | http://h:8a | http://h: | http://:80 | http://@h | http://u@h
 http://:p@h | http://u:@h | http://u:p@h | http://a:b:c@h | http://a@b@h | http://u%40:p%3a@h | http://1.2.3.4
 http://0x7f.1 | http://017700000001 | http://256 | http://1.2.3.256 | http://1.2.3.4.5 | http://1.2.3.4.
 http://1..2 | http://0.0.0.09 | http://4294967296 | http://[::1] | http://[1:2:3:4:5:6:7:8] | http://[1::8]
 http://[::ffff:1.2.3.4] | http://[::1%25eth0] | http://[1:2] | http://[::1 | http://[:1] | http://[1:::2]
 http://[12345::] | http://%41.h | http://a%00b | http://a%2fb | http://a b | http://a<b | http://ÄÖ.example
 http://☃.net | http://faß.de | http://a\u00adb | http://ａ.ｂ | http://a_b | http://a*b | http://h.. | http://..
 file:///a | file://h/a | file:a | file:/a | file:///C:/a | file:///C|/a | file:///c:/../a | file://localhost/a
 file://C:/a | file:///a/../../b | file:c:\\x\\y | file:?q | file:#f | file:\\\\h\\s | mailto:a@b
 javascript:alert(1) | data:text/plain,x y | blob:https://h/u | blob:x | about:blank | about:blank?q#f | urn:a:b
 foo:bar/../x | foo:/a/../b | foo:///x | foo://h:80/ | foo://%zz/ | foo:// h/ | foo://h\\x | http://h/%zz
 http://h/%2e/x | http://h/a/%2E%2e/b | http://h/a/.. | http://h/a/. | http://h//a//b | http://h/a;b=c
 http://h/a\tb | http://h/ü | http://h/a"b<c>`{d} | http://h/?a'b"c<d>e | http://h/#a"b<c>`d | foo://h/?a'b
 http://h/?ü#ü | http://h/a?b?c#d#e | 1http://h | +http://h | h-t.t+p1://h | :foo | // | /// | http:// | https:
 http:?q | \u0000http://h\u001f | http://h/\U0001f600 | http://h/a%c3%28 | wss:\\h\\p | ftp://h/%7Ex~y
 http://a:65a@h | http://h\\@x | http://h?@x | http://h#@x
"""
INPUTS = [text for line in TEXTS.strip().splitlines() for text in line.removeprefix(" ").split(" | ")] + ["", " ", "\n"]


def test_urls() -> None:
    compare([["url", text, base] for text in INPUTS for base in BASES])


SETTERS: list[tuple[str, str]] = [
    (part, value)
    for part, values in {
        "protocol": ["https", "https:x", "foo", "file", "1", "", "WSS:", "h ttp"],
        "username": ["", "a b:@/", "ü", "%41"],
        "password": ["", "a b:@/", "ü"],
        "host": ["", "x", "x:82", "x:", "x:9a", "[::1]:3", "a b", "x/y", "x?y", "x#y", "1.2", ":90", "u@x"],
        "hostname": ["", "x", "x:82", "[::1]", "a b", "x/y", "1.2", "Ä"],
        "port": ["", "82", "80", "443", "8a", "65536", "-1", " 8", "08"],
        "pathname": ["", "x", "/x y", "../..", "a?b#c", "\\x", "//y", "ü", "%2e%2e/z"],
        "search": ["", "?", "a=b c", "?a#b", "??", "ü'", "+"],
        "hash": ["", "#", "a b", "##", "ü`"],
        "href": ["http://new/?x=1", "foo:bar"],
    }.items()
    for value in values
]
SET_ON = ["http://u:p@h:81/a?q=1#f", "https://h/", "file:///C:/a", "mailto:a@b?c=d", "http://1.2.3.4:8080/x"]


def test_setting_parts_of_urls() -> None:
    compare([["set", text, [change]] for text in SET_ON for change in SETTERS])
    chance = Random(5)
    compare([["set", chance.choice(SET_ON), chance.sample(SETTERS, 4)] for _ in range(200)])


HIERARCHICAL = [base for base in BASES if base != "mailto:x@y"]
PIECES = [
    *"abAZ019:/?#@[].%\\|-_~!$&'()*+,;=<>\"`{} \t",
    "//",
    "..",
    "%2e",
    "%zz",
    "ü",
    "☃",
    "http:",
    "file:",
    "foo:",
    "::",
    "1.2",
]


def test_urls_at_random() -> None:
    chance = Random(7)
    texts = ["".join(chance.choices(PIECES, k=chance.randint(1, 9))) for _ in range(1500)]
    starts = ["", "http://", "https://h/", "file://", "foo:", "foo://h"]
    cases: list[Case] = [["url", chance.choice(starts) + text, chance.choice(HIERARCHICAL)] for text in texts]
    # What Node 20 does not have yet: spaces at the end of an opaque path become %20.
    compare([case for case in cases if not re.search(r"\s+([?#]|$)", case[1])])


PARAMS: list[Case] = [
    ["params", init, []]
    for init in (
        *("", "?", "??a", "a", "a=", "=a", "&", "a&b", "a=1&a=2", "?a=b", "a=b=c", "a+b=c+d", "%61=%zz%4", "a=%ff%fe"),
        *("a=%E2%98%83", "ü=☃", "a=%EF%BB%BFb", "%3F=%26", "a;b=c", "a=\n", "a=%00", " a = b "),
        *({"a": "1", "b": "x y"}, [["a", "1"], ["a", "2"]], {"?a": "&=+%"}, [["", ""]], []),
        *([["a"]], [["a", "b", "c"]], ["ab"], {"a": "\ud800"}, {"": ""}),
    )
] + [
    ["params", "a=1&b=2&a=3&c=&a=1", [call]]
    for call in (
        *(["get", "a"], ["get", "z"], ["get", "c"], ["getAll", "a"], ["getAll", "z"], ["has", "a"], ["has", "a", "3"]),
        *(["has", "a", "9"], ["has", "z"], ["set", "a", "9"], ["set", "z", "9"], ["append", "a", "x y"]),
        *(
            ["delete", "a"],
            ["delete", "a", "1"],
            ["delete", "a", "9"],
            ["delete", "z"],
            ["sort"],
            ["append", "\udfff", "\ud800x"],
        ),
    )
]
LIVE_CALLS = [["append", "a", "x y"], ["delete", "q"], ["delete", "a"], ["set", "q", "ü'~"], ["sort"], ["delete", "q"]]


def test_search_params() -> None:
    compare(PARAMS)
    compare([["live", text, LIVE_CALLS] for text in ("http://h/?q=1&r=%zz'#f", "http://h", "foo:bar?q", "http://h/?")])
    chance = Random(11)
    signs = [*"ab=&+%?;~*-._'() ", "%20", "%zz", "%E2", "%C3%BC"]
    texts = ["".join(chance.choices(signs, k=chance.randint(0, 12))) for _ in range(500)]
    compare([["params", text, [["sort"]]] for text in texts])


HEADERS: list[Case] = [
    ["headers", init, []]
    for init in (
        *({}, {"X-B": "2", "x-a": "1"}, [["a", "1"], ["A", "2"]], [["a", " \t1\r\n "]], {"a": ""}, {"a": "b\tc"}),
        *(
            [["set-cookie", "b"], ["a", "1"], ["Set-Cookie", "a=1, x"], ["b", "2"]],
            {"a": "é"},
            {"!#$%&'*+-.^_`|~": "x"},
        ),
        *(
            {"": "x"},
            {"a b": "x"},
            {"a:": "x"},
            {"é": "x"},
            {"(": "x"},
            {"a": "b\nc"},
            {"a": "b\rc"},
            {"a": "b\u0000c"},
        ),
        *(
            {"a": "☃"},
            {"a": "\u0001"},
            {"a": "\u007f"},
            [["a"]],
            [["a", "b", "c"]],
            ["ab"],
            {"a": "Ā"},
            {"a": "\u00a0x\u00a0"},
        ),
    )
] + [
    ["headers", [["a", "1"], ["B", "2"], ["a", "3"], ["Set-Cookie", "x=1"], ["set-cookie", "y=2"]], [call]]
    for call in (
        *(
            ["get", "A"],
            ["get", "z"],
            ["get", "set-cookie"],
            ["getSetCookie"],
            ["has", "b"],
            ["has", "z"],
            ["has", "a b"],
        ),
        *(
            ["set", "A", "9"],
            ["set", "Set-Cookie", "z=3"],
            ["append", "B", " 4 "],
            ["append", "c", "x\ny"],
            ["delete", "a"],
        ),
        *(
            ["delete", "z"],
            ["delete", "set-cookie"],
            ["delete", "a:"],
            ["get", ""],
            ["set", "é", "x"],
            ["append", "", "x"],
        ),
    )
]


def test_headers() -> None:
    compare(HEADERS)


RESPONSES: list[Case] = [
    ["response", body, init]
    for body in (None, "", "text")
    for init in (
        *({}, {"status": 200}, {"status": 404}, {"status": 204}, {"status": 205}, {"status": 304}, {"status": 101}),
        *(
            {"status": 199},
            {"status": 600},
            {"status": 0},
            {"status": 599},
            {"statusText": "Fine"},
            {"statusText": "a\nb"},
        ),
        *(
            {"statusText": "é\t"},
            {"statusText": "☃"},
            {"headers": {"Content-Type": "text/html"}},
            {"headers": {"a b": "c"}},
        ),
        *({"status": 201, "headers": [["Set-Cookie", "a"], ["Set-Cookie", "b"]]},),
    )
]
REQUESTS: list[Case] = [
    ["request", text, init]
    for text in ("http://h", "HTTP://H/a?b#c", "/x", "", "http://u:p@h/", "http://u@h", "foo:bar", "http://h:99999")
    for init in (
        *({}, {"method": "post"}, {"method": "Patch "}, {"method": "foo"}, {"method": "TRACE"}, {"method": "connect"}),
        *({"method": "tRaCk"}, {"method": "a b"}, {"method": "POST", "body": "x"}, {"method": "GET", "body": "x"}),
        *(
            {"method": "head", "body": ""},
            {"method": "DELETE", "body": ""},
            {"headers": {"A": "b"}},
            {"headers": {"": "b"}},
        ),
        *({"method": "PUT", "body": "x", "headers": {"content-type": "a/b"}},),
    )
]


def test_requests_and_responses() -> None:
    compare(RESPONSES)
    compare(REQUESTS)


def test_blobs() -> None:
    data = b64(bytes(range(10)))
    bounds: list[Any] = [[], [2], [2, 5], [-3], [-3, -1], [5, 2], [0, 99], [99], [-99, 3], [3, 3]]
    compare([["blob", data, "a/b", bound] for bound in (None, *bounds)])
    compare([["blob", data, "", [0, 4, kind]] for kind in ("Text/Plain", "a/b;C=D", "é", "a\nb", "")])
    compare([["blob", data, kind, None] for kind in ("Text/HTML; Charset=UTF-8", "é", "\u0000", "~")])


TEXT_BYTES = [
    b"",
    b"\xef\xbb\xbfa",
    b"\xff",
    b"a\xe2\x98",
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",
    b"\xc0\x80\0",
]


def test_texts() -> None:
    compare([["text", b64(data)] for data in TEXT_BYTES])
    chance = Random(3)
    signs = [b"a", b"\xe2", b"\x98", b"\x83", b"\xf0\x9f", b"\xed\xa0", b"\xef\xbb\xbf", b"\xff", b"\xc3\xa9"]
    texts = [b"".join(chance.choices(signs, k=6)) for _ in range(300)]
    compare([["text", b64(text)] for text in texts if not text.startswith(b"\xef\xbb\xbf" * 2)])


def part(disposition: str, value: bytes, more: str = "") -> bytes:
    return f"--B\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n".encode() + value + b"\r\n"


MULTIPART = "multipart/form-data; boundary=B"
FORMS: list[tuple[bytes, str]] = [
    (b"a=1&b=x+y&a=%C3%A9&=&c", "application/x-www-form-urlencoded"),
    (b"a=1", "application/x-www-form-urlencoded;charset=latin-1"),
    (b"", "application/x-www-form-urlencoded"),
    (b"a=%ff&\xff=\xe2\x98\x83", "Application/X-WWW-Form-Urlencoded"),
    (part('name="a"', b"1") + part('name="a"', b"2") + b"--B--\r\n", MULTIPART),
    (part('name="a"', b"1") + b"--B--", MULTIPART),
    (part('name="a"; filename="f.txt"', b"\0\xff\r\n--C", "Content-Type: text/plain\r\n") + b"--B--\r\n", MULTIPART),
    (part('name="%22%0D%0A%41"; filename="%22.txt"', b"x") + b"--B--\r\n", MULTIPART),
    (part('name="a\\b\\\\c"; filename="C:\\d\\e.txt"', b"x") + b"--B--\r\n", MULTIPART),
    (part('name="a\\"', b"x") + b"--B--\r\n", MULTIPART),
    (part('name="ü☃"; filename="ü☃"', "ü☃".encode()) + b"--B--\r\n", MULTIPART),
    (part('name=""', b"") + b"--B--\r\n", MULTIPART),
    (part('name="a;b=c"; filename="d; e"', b"x") + b"--B--\r\n", MULTIPART),
    (part('name="a"', b"\xef\xbb\xbfx\xff") + b"--B--\r\n", MULTIPART),
    (part('name="a"', b"x\r\n\r\n--\n") + b"--B--\r\n", MULTIPART),
    (part('name="a"', b"x", "X-Other: y\r\n") + b"--B--\r\n", 'multipart/form-data; boundary="B"'),
    (part('name="a"', b"x"), MULTIPART),
    (b"", MULTIPART),
    (b"nonsense", MULTIPART),
    (b"--B\r\n\r\nx\r\n--B--\r\n", MULTIPART),
    (part('filename="f"', b"x") + b"--B--\r\n", MULTIPART),
    (b'--B\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--B--\r\n', MULTIPART),
    (b"x", "multipart/form-data"),
    (b"x", "text/plain"),
    (b"x", "multipart/mixed; boundary=B"),
]
SENT: list[list[list[str]]] = [
    [],
    [["a", "1"], ["a", "2"]],
    [['q"uote', 'v"alue'], ["line\nbreak\rand\r\n", "v\nv\rv\r\n"], ["ü%", "☃\ud800"]],
    [["f", "content\n", 'na"me\r\n.txt', "text/plain"], ["g", "", "g", ""]],
]


def test_forms() -> None:
    compare([["form", b64(body), content_type] for body, content_type in FORMS])
    compare([["sent", entries] for entries in SENT])
