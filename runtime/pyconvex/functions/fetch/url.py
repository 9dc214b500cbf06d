"""`URL` and `URLSearchParams` as browsers have them (https://url.spec.whatwg.org)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

import ada_url

SearchParamsInit: TypeAlias = "str | URLSearchParams | Mapping[str, object] | Iterable[tuple[str, object]] | None"

_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-._")
_ENCODED = [chr(byte) if byte in _KEPT else "+" if byte == 0x20 else f"%{byte:02X}" for byte in range(256)]


class URLSearchParams:
    """The parameters of a query string, in order, names repeated as often as they come.

    Args:
        init: a query string (a leading `?` is dropped), a mapping, pairs, or another `URLSearchParams`.
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
        self._replace([*self._pairs, (name, str(value))])

    def set(self, name: str, value: object) -> None:
        """Make `value` the only one of `name`, in the place of the first."""
        at = next((index for index, (key, _) in enumerate(self._pairs) if key == name), len(self._pairs))
        after = [pair for pair in self._pairs[at:] if pair[0] != name]
        self._replace([*self._pairs[:at], (name, str(value)), *after])

    def delete(self, name: str, value: str | None = None) -> None:
        """Remove every `name`, or only those with `value`."""
        self._replace([(key, found) for key, found in self._pairs if key != name or value not in (None, found)])

    def sort(self) -> None:
        """Sort by name, by UTF-16 code units as the standard has it; equal names keep their order."""
        self._replace(sorted(self._pairs, key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass")))

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

    def _replace(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        if self._changed is not None:
            self._changed()

    def follow(self, search: str, changed: Callable[[], None]) -> None:
        """Show `search` of a URL, and tell the URL through `changed` when a parameter changes here."""
        self._pairs = _parsed(search)
        self._changed = changed


def _pairs_of(init: SearchParamsInit) -> list[tuple[str, str]]:
    if init is None:
        return []
    if isinstance(init, str):
        return _parsed(init)
    if isinstance(init, URLSearchParams):
        return init.items()
    if isinstance(init, Mapping):
        return [(str(name), str(value)) for name, value in cast("Mapping[str, object]", init).items()]
    pairs = [tuple(pair) for pair in init]
    if any(len(pair) != 2 for pair in pairs):
        raise TypeError("URLSearchParams takes pairs of a name and a value")
    return [(str(name), str(value)) for name, value in pairs]


def _parsed(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.removeprefix("?").split("&") if part)
    return [(_decoded(name), _decoded(value)) for name, _, value in parts]


def _decoded(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="replace") if "%" in text else text


def _encoded(text: str) -> str:
    return "".join([_ENCODED[byte] for byte in well_formed(text).encode()])


def well_formed(text: str) -> str:
    """The text with lone surrogates replaced, as the web's `USVString`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text


class _Part:
    """A part of a URL, read from and written to the parser's object."""

    def __init__(self, *, settable: bool = True) -> None:
        self._settable = settable

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, url: "URL", owner: type) -> str:
        return getattr(url._parsed, self._name)  # pyright: ignore[reportPrivateUsage] - a part of URL

    def __set__(self, url: "URL", value: str) -> None:
        if not self._settable:
            raise AttributeError(f"{self._name} of a URL cannot be set")
        url._set(self._name, value)  # pyright: ignore[reportPrivateUsage] - a part of URL


class URL:
    """A parsed absolute URL. Its parts can be set; `search_params` and `search` follow each other.

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
        self._search_params: URLSearchParams | None = None
        try:
            self._parsed: Any = ada_url.URL(well_formed(str(text)), None if base is None else well_formed(str(base)))
        except ValueError:
            against = "" if base is None else f" against {str(base)!r}"
            raise ValueError(f"Failed to parse URL from {str(text)!r}{against}") from None

    @staticmethod
    def can_parse(text: str, base: str | None = None) -> bool:
        return ada_url.URL.can_parse(well_formed(text), None if base is None else well_formed(base))

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

    def _set(self, name: str, value: str) -> None:
        try:
            setattr(self._parsed, name, well_formed(str(value)))
        except ValueError:
            if name == "href":
                raise ValueError(f"Failed to parse URL from {value!r}") from None
            return  # the standard leaves a URL alone when a part of it cannot be
        if self._search_params is not None and name in ("href", "search"):
            self._search_params.follow(self.search, self._params_changed)

    def _params_changed(self) -> None:
        assert self._search_params is not None, "only its parameters call this"
        self._parsed.search = str(self._search_params)
