"""`FormData`: its manners, and both encodings of forms."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.server import Blob, File, FormData, Request, Response

MULTIPART = "multipart/form-data; boundary=B"


def read(body: bytes, content_type: str | None) -> FormData:
    headers = {} if content_type is None else {"content-type": content_type}
    return asyncio.run(Request("http://h/", method="POST", body=body, headers=headers).form_data())


def part(disposition: str, content: bytes, more: str = "") -> bytes:
    return f"--B\r\nContent-Disposition: {disposition}\r\n{more}\r\n".encode() + content + b"\r\n"


def shown(form: FormData) -> list[tuple[str, Any]]:
    """Fields with files as (name, type, content)."""
    return [(name, file(value) if isinstance(value, File) else value) for name, value in form.items()]


def file(value: File) -> tuple[str, str, bytes]:
    return value.name, value.type, asyncio.run(value.bytes())


A = part('form-data; name="a"', b"1")
END = b"--B--\r\n"

FORMS: list[tuple[str, bytes, list[tuple[str, Any]]]] = [
    ("application/x-www-form-urlencoded", b"a=1&b=x+y&a=%C3%A9", [("a", "1"), ("b", "x y"), ("a", "é")]),
    ("Application/X-WWW-Form-Urlencoded; charset=utf-8", b"\xef\xbb\xbfa=1", [("a", "1")]),
    (MULTIPART, A + END, [("a", "1")]),
    ('multipart/form-data; boundary="B"', A + END, [("a", "1")]),
    (MULTIPART, END, []),
    (MULTIPART, A + A + END, [("a", "1"), ("a", "1")]),
    (MULTIPART, b"preamble\r\n" + A + b"--B--\r\nepilogue --B", [("a", "1")]),
    (MULTIPART, A.replace(b"--B\r\n", b"--B \t\r\n") + b"--B--  ", [("a", "1")]),
    (MULTIPART, part('form-data; name="a"', b"x\r\ny--B\n--B") + END, [("a", "x\r\ny--B\n--B")]),
    (MULTIPART, part('FORM-DATA; name="a b"', b"\xff") + END, [("a b", "\ufffd")]),
    (
        MULTIPART,
        part('form-data; name="f"; filename="x.bin"', b"\0\xff") + END,
        [("f", ("x.bin", "application/octet-stream", b"\0\xff"))],
    ),
    (
        MULTIPART,
        part('form-data; name="f"; filename=""', b"", "Content-Type: Text/Plain\r\n") + END,
        [("f", ("", "text/plain", b""))],
    ),
    (
        MULTIPART,
        part('form-data; name="%22%0D%0A"; filename="é%22.txt"', b"x") + END,
        [('"\r\n', ('é".txt', "application/octet-stream", b"x"))],
    ),
]


@pytest.mark.parametrize(("content_type", "body", "fields"), FORMS, ids=ascii)
def test_forms_that_arrive(content_type: str, body: bytes, fields: list[tuple[str, Any]]) -> None:
    assert shown(read(body, content_type)) == fields


MALFORMED: list[tuple[str | None, bytes, str]] = [
    (None, b"a=1", "Missing content type"),
    ("nonsense", b"a=1", "Invalid content type"),
    ("text/plain", b"a=1", "Body cannot be decoded as form data"),
    ("multipart/form-data", A + END, "Missing boundary parameter in mime type of multipart formdata."),
    (MULTIPART, b"", "the closing boundary is missing"),
    (MULTIPART, A, "the closing boundary is missing"),
    (MULTIPART, b"--B\r\n\r\n\r\n1\r\n" + END, "no content-disposition with a name"),
    (MULTIPART, part("form-data", b"1") + END, "no content-disposition with a name"),
    (MULTIPART, part('attachment; name="a"', b"1") + END, "no content-disposition with a name"),
    (MULTIPART, b"--B\r\n--B\r\n" + END, "Malformed multipart form data"),
    (MULTIPART, A * 10_001 + END, "more than 10000 fields"),
]


@pytest.mark.parametrize(("content_type", "body", "message"), MALFORMED, ids=lambda part: ascii(part)[:40])
def test_forms_that_are_none(content_type: str | None, body: bytes, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        read(body, content_type)
    assert message in str(caught.value)


def test_manners() -> None:
    form = FormData()
    form.append("a", "1")
    form.append("b", "2")
    form.append("a", "3")
    assert (form.get("a"), form.get_all("a"), form.get("z"), form.has("a"), "z" in form) == (
        "1",
        ["1", "3"],
        None,
        True,
        False,
    )
    form.set("a", "4")
    form.set("c", "5")
    assert form.items() == [("a", "4"), ("b", "2"), ("c", "5")]
    form.delete("b")
    assert (list(form), form.values(), len(form)) == (["a", "c"], ["4", "5"], 2)


def test_blobs_become_files() -> None:
    form = FormData()
    form.append("f", Blob(["x"], type="a/b"))
    form.append("f", Blob(["x"]), "named.txt")
    form.append("f", File(["x"], "own.txt"))
    form.append("f", File(["x"], "own.txt", type="c/d"), "renamed.txt")
    files = [file(value) for value in form.get_all("f") if isinstance(value, File)]
    assert files == [
        ("blob", "a/b", b"x"),
        ("named.txt", "", b"x"),
        ("own.txt", "", b"x"),
        ("renamed.txt", "c/d", b"x"),
    ]


def test_what_is_no_field() -> None:
    form: Any = FormData()
    for value in (None, b"x", ["x"]):
        with pytest.raises(TypeError, match="The value of the field 'a' is"):
            form.append("a", value)
    with pytest.raises(TypeError, match="not with text"):
        form.append("a", "text", "name.txt")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff\\"))
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="%\\"), max_size=6)


@given(st.lists(st.tuples(NAMES, TEXT)), st.binary(max_size=40))
def test_a_form_comes_back(fields: list[tuple[str, str]], data: bytes) -> None:
    form = FormData()
    for name, value in fields:
        form.append(name, value)
    form.append("file", File([data], 'quo"te\n.bin', type="image/png"))
    back = asyncio.run(Response(form).form_data())
    assert shown(back) == [*fields, ("file", ('quo"te\n.bin', "image/png", data))]
