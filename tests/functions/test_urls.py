"""`URL` and `URLSearchParams` as the WHATWG standard has them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.server import URL, URLSearchParams

PARTS = {
    "href": "https://ada:pw@example.com:8443/a%20b/c?q=1&r=%zz#frag",
    "origin": "https://example.com:8443",
    "protocol": "https:",
    "username": "ada",
    "password": "pw",
    "host": "example.com:8443",
    "hostname": "example.com",
    "port": "8443",
    "pathname": "/a%20b/c",
    "search": "?q=1&r=%zz",
    "hash": "#frag",
}


def test_the_parts() -> None:
    url = URL(PARTS["href"])
    assert {name: getattr(url, name) for name in PARTS} == PARTS
    assert str(url) == PARTS["href"]
    assert url == URL(url)
    assert len({url, URL(url)}) == 1
    assert repr(URL("http://x")) == "URL('http://x/')"


PARSED = [
    ("HTTP://EXAMPLE.com:80/../a/./b", None, "http://example.com/a/b"),
    ("/x?y", "http://h/a/b", "http://h/x?y"),
    ("../x", "http://h/a/b/c", "http://h/a/x"),
    ("?q", "http://h/a", "http://h/a?q"),
    ("http://h/User+123", None, "http://h/User+123"),
    ("http://h/straße?ü=ß", None, "http://h/stra%C3%9Fe?%C3%BC=%C3%9F"),
    ("http://h/\ud800", None, "http://h/%EF%BF%BD"),
    ("http://bücher.example/", None, "http://xn--bcher-kva.example/"),
]


@pytest.mark.parametrize(("text", "base", "href"), PARSED, ids=ascii)
def test_parsing(text: str, base: str | None, href: str) -> None:
    assert URL(text, base).href == href
    assert URL(text, None if base is None else URL(base)).href == href
    assert URL.can_parse(text, base)
    assert URL.can_parse(text, None if base is None else URL(base))
    assert URL.parse(text, base) == URL(text, base)


@pytest.mark.parametrize("text", ["", "/x", "x", "http://", "http://a b/", "http://h:99999/"])
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match="Failed to parse URL from"):
        URL(text)
    assert not URL.can_parse(text)
    assert URL.parse(text) is None


@pytest.mark.parametrize("text", [5, None, b"http://h/"])
def test_what_is_no_text(text: Any) -> None:
    for use in (URL, URL.parse, URL.can_parse):
        with pytest.raises(TypeError, match="A URL is made of text"):
            use(text)


SETTING = [
    ("pathname", "/x y", "http://h/x%20y?q=1#f"),
    ("search", "a=b", "http://h/a?a=b#f"),
    ("search", "", "http://h/a#f"),
    ("hash", "", "http://h/a?q=1"),
    ("host", "other:81", "http://other:81/a?q=1#f"),
    ("port", "99999", "http://h/a?q=1#f"),
    ("port", 8080, "http://h:8080/a?q=1#f"),
    ("protocol", "https", "https://h/a?q=1#f"),
    ("href", "http://new/", "http://new/"),
]


@pytest.mark.parametrize(("part", "value", "href"), SETTING)
def test_setting_a_part(part: str, value: str | int, href: str) -> None:
    url = URL("http://h/a?q=1#f")
    setattr(url, part, value)
    assert url.href == href


def test_what_cannot_be_set() -> None:
    url = URL("http://h/")
    with pytest.raises(AttributeError, match="origin"):
        url.origin = "http://x"
    with pytest.raises(ValueError, match="Failed to parse URL"):
        url.href = "nonsense"
    with pytest.raises(TypeError, match="The search of a URL is None"):
        url.search = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue] - the mistake
    assert url.href == "http://h/"


def test_search_and_search_params_follow_each_other() -> None:
    url = URL("http://h/?a=1&b=2")
    params = url.search_params
    assert url.search_params is params
    params.append("c", "x y")
    assert url.search == "?a=1&b=2&c=x+y"
    params.delete("a")
    params.set("b", 3)
    params.sort()
    assert url.href == "http://h/?b=3&c=x+y"
    url.search = "?z=9"
    assert params.items() == [("z", "9")]
    url.href = "http://other/?y=8"
    assert params.items() == [("y", "8")]
    params.delete("y")
    assert url.href == "http://other/"


INITS: list[tuple[Any, list[tuple[str, str]]]] = [
    (None, []),
    ("", []),
    ("?a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
    ("a+b=c+d&e%20f=%2B", [("a b", "c d"), ("e f", "+")]),
    ("a&=b&&=", [("a", ""), ("", "b"), ("", "")]),
    ("a=b=c", [("a", "b=c")]),
    ("a=%zz%4&b=%ff", [("a", "%zz%4"), ("b", "\ufffd")]),
    ({"a": 1, "b": "x", "c": True}, [("a", "1"), ("b", "x"), ("c", "true")]),
    ([("a", "1"), ("a", "2")], [("a", "1"), ("a", "2")]),
    (URLSearchParams("a=1"), [("a", "1")]),
]


@pytest.mark.parametrize(("init", "items"), INITS)
def test_search_params_are_made_of(init: Any, items: list[tuple[str, str]]) -> None:
    params = URLSearchParams(init)
    assert params.items() == items
    assert list(params) == params.keys() == [name for name, _ in items]
    assert params.values() == [value for _, value in items]
    assert len(params) == params.size == len(items)


def test_search_params_manners() -> None:
    params = URLSearchParams("a=1&b=2&a=3")
    assert (params.get("a"), params.get("z"), params.get("z", "-"), params["b"]) == ("1", None, "-", "2")
    assert params.get_all("a") == ["1", "3"]
    assert "a" in params
    assert params.has("a", "3")
    assert not params.has("a", "2")
    params.delete("a", "1")
    assert params.items() == [("b", "2"), ("a", "3")]
    params.set("b", "x")
    params.set("c", "y")
    assert str(params) == "b=x&a=3&c=y"
    with pytest.raises(KeyError, match="z"):
        _ = params["z"]


@pytest.mark.parametrize("init", [[("a",)], ["ab"], [5], 5, b"a=1", {"a": None}, {"a": ["1", "2"]}, {"a": b"1"}])
def test_what_is_no_search_params(init: Any) -> None:
    with pytest.raises(TypeError, match=r"pairs|The value of the parameter 'a' is"):
        URLSearchParams(init)


def test_serialising_encodes_all_but_a_few() -> None:
    assert (
        str(URLSearchParams({"k": "aZ09*-._ ~!'()&=+%é\ud800"}))
        == "k=aZ09*-._+%7E%21%27%28%29%26%3D%2B%25%C3%A9%EF%BF%BD"
    )


def test_sorting_is_stable_and_by_code_units() -> None:
    params = URLSearchParams([("z", "1"), ("\uffff", "2"), ("\U0001f600", "3"), ("z", "0")])
    params.sort()
    assert params.items() == [("z", "1"), ("z", "0"), ("\U0001f600", "3"), ("\uffff", "2")]


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_parsing_inverts_serialising(pairs: list[tuple[str, str]]) -> None:
    assert URLSearchParams(str(URLSearchParams(pairs))).items() == pairs
    url = URL("http://h/")
    for name, value in pairs:
        url.search_params.append(name, value)
    assert URL(url.href).search_params.items() == pairs
