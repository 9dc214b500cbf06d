"""Paths with parameters: `/users/{id:int}`."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote

from pyconvex.functions.fetch.request import PathParams

from .error import RouteError

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_CONVERTERS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {  # converter → regular expression, and rank: the smaller, the more specific
        "int": (r"-?[0-9]{1,300}", 1),
        "": (r"[^/]+", 2),
        "path": (r".*", 3),
    }
)


class Pattern:
    """A path with parameters, compiled: `{name}` is one segment, `{name:int}` a number, `{name:path}` the rest.

    Raises:
        RouteError: braces that do not pair, a name that is no identifier or used twice, an unknown converter, two
            parameters in one segment, or `:path` before the end.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.rank: tuple[tuple[int, int], ...] = ()
        """The smaller, the more specific: by segment, and in a segment by how much of it is literal."""
        self._integers: set[str] = set()
        self._names: set[str] = set()
        segments = path.split("/")
        expression = "/".join(self._segment(part, at == len(segments) - 1) for at, part in enumerate(segments))
        self._expression = re.compile(expression, re.DOTALL)
        self.shape = re.sub(r"\(\?P<\w+>", "(", expression)
        """Equal for patterns that match the same paths."""

    def match(self, path: str) -> PathParams | None:
        """The parameters found in `path`, percent-decoded, or None."""
        found = self._expression.fullmatch(path)
        if found is None:
            return None
        texts = found.groupdict()
        return {
            name: int(text) if name in self._integers else unquote(text, errors="replace")
            for name, text in texts.items()
        }

    def _segment(self, segment: str, is_last: bool) -> str:
        found = list(_PARAMETER.finditer(segment))
        rest = _PARAMETER.sub("", segment)
        if "{" in rest or "}" in rest:
            raise self._wrong(f"has braces that do not pair in `{segment}`")
        if not found:
            self.rank += ((0, 0),)
            return re.escape(segment)
        if len(found) > 1:
            raise self._wrong(f"has two parameters in one segment, `{segment}`")
        parameter = found[0]
        name, _, converter = parameter[1].partition(":")
        self._check(name, converter, is_last and segment.endswith("}"), colon=":" in parameter[1])
        expression, rank = _CONVERTERS[converter]
        self.rank += ((rank, -len(rest)),)
        before, after = re.escape(segment[: parameter.start()]), re.escape(segment[parameter.end() :])
        return f"{before}(?P<{name}>{expression}){after}"

    def _check(self, name: str, converter: str, is_end: bool, *, colon: bool) -> None:
        if not name.isidentifier() or not name.isascii():
            raise self._wrong(f"has the parameter `{{{name}}}`, whose name is no Python name")
        if name in self._names:
            raise self._wrong(f"has the parameter `{{{name}}}` twice")
        if converter not in _CONVERTERS or (colon and not converter):
            raise self._wrong(f"has the unknown converter `{converter}` in `{{{name}:{converter}}}`")
        if converter == "path" and not is_end:
            raise self._wrong(f"goes on after `{{{name}:path}}`, which takes all the rest")
        self._names.add(name)
        if converter == "int":
            self._integers.add(name)

    def _wrong(self, what: str) -> RouteError:
        return RouteError(
            "InvalidPathPattern",
            f"path '{self.path}' {what}",
            hint="parameters are `{name}`, `{name:int}` and, at the end, `{name:path}`; one in each segment",
        )
