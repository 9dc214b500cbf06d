"""`Headers` (https://fetch.spec.whatwg.org/#headers-class), with the manners of a Python mapping."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias, cast

from .text import text_of

RawHeaders: TypeAlias = "Iterable[tuple[bytes, bytes]]"
"""Headers as ASGI has them: pairs of bytes."""

HeadersInit: TypeAlias = "Headers | Mapping[str, object] | Iterable[tuple[str, object]] | None"

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\r\n\0]|[^\x00-\xff]")
_WHITESPACE = " \t\r\n"


class Headers:
    """Case-insensitive multi-valued headers.

    Iterating gives names and `items()` pairs: sorted, lower-case, values joined by `", "`, but each `set-cookie`
    by itself.

    Raises (all that take a name or a value):
        TypeError: a name that is no HTTP token; a value with CR, LF or NUL, or beyond Latin-1; a pair that is none.
    """

    __slots__ = ("_pairs", "_raw")

    def __init__(self, init: HeadersInit = None) -> None:
        self._raw: RawHeaders | None = None
        self._pairs: list[tuple[str, str]] = []
        if init is None:
            return
        if isinstance(init, Headers):
            self._pairs = list(init._list())
        elif isinstance(init, dict | Mapping):
            for name, value in cast("Mapping[str, object]", init).items():
                self._pairs.append((_checked_name(name), _checked_value(name, value)))
        else:
            self._append_pairs(init)

    @classmethod
    def incoming(cls, raw: RawHeaders) -> "Headers":
        """Headers of a request, decoded (Latin-1) when first looked at."""
        headers = cls.__new__(cls)
        headers._raw = raw
        return headers

    def encoded(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI sends them, in the order they were added."""
        return [encoded(pair) for pair in self._list()]

    def pairs(self) -> Sequence[tuple[str, str]]:
        """Each header as it was added: not sorted, not joined."""
        return self._list()

    def get(self, name: str, default: str | None = None) -> str | None:
        """All values of `name`, joined by `", "`."""
        name = _checked_name(name)
        values = [value for key, value in self._list() if key == name]
        return ", ".join(values) if values else default

    def get_set_cookie(self) -> list[str]:
        """Each `set-cookie` value; they cannot be joined."""
        return [value for key, value in self._list() if key == "set-cookie"]

    def has(self, name: str) -> bool:
        name = _checked_name(name)
        return any(key == name for key, _ in self._list())

    def set(self, name: str, value: object) -> None:
        """Make `value` the only one of `name`, in the place of the first."""
        self.put(_checked_name(name), _checked_value(name, value))

    def put(self, name: str, value: str) -> None:
        """`set` for a lower-case name and a value that are known to be valid."""
        pairs = self._list()
        at = next((index for index, (key, _) in enumerate(pairs) if key == name), None) if pairs else None
        if at is None:
            pairs.append((name, value))
        else:
            self._pairs = [*pairs[:at], (name, value), *(pair for pair in pairs[at:] if pair[0] != name)]

    def put_missing(self, name: str, value: str) -> None:
        """`put`, unless there is a header of that name."""
        pairs = self._list()
        if not pairs or all(key != name for key, _ in pairs):
            pairs.append((name, value))

    def setdefault(self, name: str, value: object) -> str:
        """The value of `name`, which becomes `value` when there is none."""
        if not self.has(name):
            self.append(name, value)
        return self[name]

    def update(self, init: HeadersInit) -> None:
        """`set` each of `init`; several of one name all count."""
        others = Headers(init).pairs()
        names = {name for name, _ in others}
        self._pairs = [*(pair for pair in self._list() if pair[0] not in names), *others]

    def append(self, name: str, value: object) -> None:
        self._list().append((_checked_name(name), _checked_value(name, value)))

    def delete(self, name: str) -> None:
        name = _checked_name(name)
        self._pairs = [pair for pair in self._list() if pair[0] != name]

    def items(self) -> list[tuple[str, str]]:
        joined: dict[str, str] = {}
        cookies: list[tuple[str, str]] = []
        for name, value in self._list():
            if name == "set-cookie":
                cookies.append((name, value))
            else:
                joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return sorted([*joined.items(), *cookies], key=lambda pair: pair[0])

    def keys(self) -> list[str]:
        return [name for name, _ in self.items()]

    def values(self) -> list[str]:
        return [value for _, value in self.items()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.items())

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        lowered = name.lower()
        return any(key == lowered for key, _ in self._list())

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: object) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        if not self.has(name):
            raise KeyError(name)
        self.delete(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items() == other.items()

    __hash__ = None  # pyright: ignore[reportAssignmentType] - mutable

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    def _list(self) -> list[tuple[str, str]]:
        if self._raw is not None:
            self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._raw]
            self._raw = None
        return self._pairs

    def _append_pairs(self, pairs: Iterable[object]) -> None:
        for pair in pairs:
            if isinstance(pair, str | bytes) or not isinstance(pair, Iterable):
                raise TypeError(f"Headers take pairs of a name and a value, not {pair!r:.60}")
            parts: list[object] = list(pair)  # pyright: ignore[reportUnknownArgumentType] - any iterable
            if len(parts) != 2:
                raise TypeError(f"Headers take pairs of a name and a value, not {len(parts)} items: {parts!r:.60}")
            self.append(cast("str", parts[0]), parts[1])


def encoded(header: tuple[str, str]) -> tuple[bytes, bytes]:
    """One header as ASGI sends it."""
    name, value = header
    return name.encode("latin-1"), value.encode("latin-1")


def _checked_name(name: str) -> str:
    if type(name) is not str:
        name = text_of(name, "The name of a header")
    return _lowered(name)


@lru_cache(512)
def _lowered(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise TypeError(f"{name!r:.60} is not a valid header name")
    return name.lower()


def _checked_value(name: str, value: object) -> str:
    if type(value) is str:
        text = value.strip(_WHITESPACE)
    elif isinstance(value, bytes):
        text = value.decode("latin-1").strip(_WHITESPACE)
    else:
        text = text_of(value, f"The value of the header {name!r}").strip(_WHITESPACE)
    if found := _FORBIDDEN.search(text):
        raise TypeError(
            f"The value of the header {name!r} holds {found[0]!r}: a header value has no line breaks or NUL"
            " and only characters of Latin-1 (percent-encode others)"
        )
    return text
