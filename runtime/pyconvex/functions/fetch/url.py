"""`URL` and `URLSearchParams` as browsers have them (https://url.spec.whatwg.org)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

from .text import text_of, well_formed

SearchParamsInit: TypeAlias = "str | URLSearchParams | Mapping[str, object] | Iterable[tuple[str, object]] | None"

_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-._")
_ENCODED = [chr(byte) if byte in _KEPT else "+" if byte == 0x20 else f"%{byte:02X}" for byte in range(256)]
_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_~!$&'()*+,;=:@/-]|%(?!2[eE])|(?<=[^/.%])\.)*")


class URLSearchParams:
    """The parameters of a query string, in order, names repeated as often as they come.

    Args:
        init: a query string (a leading `?` is dropped), a mapping, pairs, or another `URLSearchParams`.

    Raises (all that take a value):
        TypeError: None, bytes or a collection, which a query string has no form for; a pair that is none.
    """

    __slots__ = ("_changed", "_pairs")

    def __init__(self, init: SearchParamsInit = None) -> None:
        self._changed: Callable[[], None] | None = None
        self._pairs = _pairs_of(init)

    @property
    def size(self) -> int:
        return len(self._pairs)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of `name`."""
        return next((value for key, value in self._pairs if key == name), default)

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def has(self, name: str, value: str | None = None) -> bool:
        return any(key == name and value in (None, found) for key, found in self._pairs)

    def append(self, name: str, value: object) -> None:
        self._pairs.append(_pair(name, value))
        self._tell()

    def set(self, name: str, value: object) -> None:
        """Make `value` the only one of `name`, in the place of the first."""
        pair = _pair(name, value)
        at = next((index for index, (key, _) in enumerate(self._pairs) if key == pair[0]), len(self._pairs))
        self._pairs[at:] = [pair, *(other for other in self._pairs[at:] if other[0] != pair[0])]
        self._tell()

    def delete(self, name: str, value: str | None = None) -> None:
        """Remove every `name`, or only those with `value`."""
        self._pairs = [(key, found) for key, found in self._pairs if key != name or value not in (None, found)]
        self._tell()

    def sort(self) -> None:
        """Sort by name, by UTF-16 code units as the standard has it; equal names keep their order."""
        self._pairs.sort(key=lambda pair: pair[0].encode("utf-16-be"))
        self._tell()

    def keys(self) -> list[str]:
        return [name for name, _ in self._pairs]

    def values(self) -> list[str]:
        return [value for _, value in self._pairs]

    def items(self) -> list[tuple[str, str]]:
        return list(self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URLSearchParams) and self._pairs == other._pairs

    __hash__ = None  # pyright: ignore[reportAssignmentType] - mutable

    def __str__(self) -> str:
        """The query string, spaces as `+`, everything but ASCII letters, digits and `*-._` percent-encoded."""
        return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in self._pairs)

    def __repr__(self) -> str:
        return f"URLSearchParams({str(self)!r})"

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    def follow(self, search: str, changed: Callable[[], None]) -> None:
        """Show `search` of a URL, and tell the URL through `changed` when a parameter changes here."""
        self._pairs = parse_query(search.removeprefix("?"))
        self._changed = changed


def _pairs_of(init: SearchParamsInit) -> list[tuple[str, str]]:
    if init is None:
        return []
    if isinstance(init, str):
        return parse_query(well_formed(init).removeprefix("?"))
    if isinstance(init, URLSearchParams):
        return init.items()
    if isinstance(init, Mapping):
        return [_pair(name, value) for name, value in cast("Mapping[str, object]", init).items()]
    if isinstance(init, bytes) or not isinstance(init, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise TypeError(f"URLSearchParams takes a query string, a mapping or pairs, not {type(init).__name__}")
    return [_pair(*_two(pair)) for pair in init]


def _two(pair: object) -> tuple[object, object]:
    parts: list[object] = [] if isinstance(pair, str) or not isinstance(pair, Iterable) else list(pair)  # pyright: ignore[reportUnknownArgumentType] - any iterable
    if len(parts) != 2:
        raise TypeError(f"URLSearchParams takes pairs of a name and a value, not {pair!r:.60}")
    return parts[0], parts[1]


def _pair(name: object, value: object) -> tuple[str, str]:
    if type(name) is str and type(value) is str:
        return well_formed(name), well_formed(value)
    return text_of(name, "The name of a parameter"), text_of(value, f"The value of the parameter {name!r:.60}")


def parse_query(query: str) -> list[tuple[str, str]]:
    """The names and values of `application/x-www-form-urlencoded` text."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(_decoded(name), _decoded(value)) for name, _, value in parts]


def _decoded(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="replace") if "%" in text else text


def _encoded(text: str) -> str:
    return "".join([_ENCODED[byte] for byte in text.encode()])


class _Part:
    """A part of a URL, read from and written to the parser's object."""

    def __init__(self, *, settable: bool = True) -> None:
        self._settable = settable

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, url: "URL", owner: type) -> str:
        return getattr(url._parsed, self._name)  # pyright: ignore[reportPrivateUsage] - a part of URL

    def __set__(self, url: "URL", value: str | int) -> None:
        if not self._settable:
            raise AttributeError(f"{self._name} of a URL cannot be set")
        url._set(self._name, value)  # pyright: ignore[reportPrivateUsage] - a part of URL


class URL:
    """A parsed absolute URL. Its parts can be set; `search_params` and `search` follow each other.

    A part that is set to what it cannot be stays as it was, as in browsers; only a bad `href` is an error.

    Args:
        text: a URL, absolute unless `base` is given.
        base: what a relative `text` is resolved against.

    Raises:
        ValueError: no valid URL.
    """

    __slots__ = ("_parsed", "_search_params")

    href = _Part()
    origin = _Part(settable=False)
    protocol = _Part()
    username = _Part()
    password = _Part()
    host = _Part()
    hostname = _Part()
    port = _Part()
    pathname = _Part()
    search = _Part()
    hash = _Part()

    def __init__(self, text: "str | URL", base: "str | URL | None" = None) -> None:
        import ada_url  # 5 ms at the first URL, which most starts have no need of

        self._search_params: URLSearchParams | None = None
        try:
            self._parsed: Any = ada_url.URL(_address(text), None if base is None else _address(base))
        except ValueError:
            against = "" if base is None else f" against {str(base)!r:.200}"
            raise ValueError(f"Failed to parse URL from {str(text)!r:.200}{against}") from None

    @staticmethod
    def parse(text: "str | URL", base: "str | URL | None" = None) -> "URL | None":
        """A URL, or None where the constructor would raise."""
        try:
            return URL(text, base)
        except ValueError:
            return None

    @staticmethod
    def can_parse(text: "str | URL", base: "str | URL | None" = None) -> bool:
        import ada_url

        return ada_url.URL.can_parse(_address(text), None if base is None else _address(base))

    @property
    def search_params(self) -> URLSearchParams:
        if self._search_params is None:
            self._search_params = URLSearchParams()
            self._search_params.follow(self.search, self._params_changed)
        return self._search_params

    def __str__(self) -> str:
        return self.href

    def __repr__(self) -> str:
        return f"URL({self.href!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URL) and self.href == other.href

    def __hash__(self) -> int:
        return hash(self.href)

    def _set(self, name: str, value: str | int) -> None:
        try:
            setattr(self._parsed, name, text_of(value, f"The {name} of a URL"))
        except ValueError:
            if name == "href":
                raise ValueError(f"Failed to parse URL from {value!r:.200}") from None
            return
        if self._search_params is not None and name in ("href", "search"):
            self._search_params.follow(self.search, self._params_changed)

    def _params_changed(self) -> None:
        assert self._search_params is not None, "only its parameters call this"
        self._parsed.search = str(self._search_params)


def pathname(path: str) -> str:
    """The path as a URL parser gives it: dot segments resolved, percent-encoding and repeated slashes kept.

    Most paths are plain, and need no parser.
    """
    if _PLAIN_PATH.fullmatch(path):
        return path
    try:
        return URL(f"http://host{path}").pathname if path.startswith("/") else path
    except ValueError:
        return path


def _address(text: object) -> str:
    if not isinstance(text, str | URL):
        raise TypeError(f"A URL is made of text or another URL, not of {type(text).__name__}")
    return well_formed(str(text))
