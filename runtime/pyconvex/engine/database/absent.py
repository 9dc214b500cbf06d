"""Members that one `ctx` has and another has not: asking for them says what to do instead."""

from collections.abc import Mapping
from typing import ClassVar, NoReturn


class Explains:
    """Explains, in the `AttributeError`, the members in `_absent`."""

    __slots__ = ()
    _absent: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            self._absent.get(name, f"{type(self).__name__!r} object has no attribute {name!r}"), name=name, obj=self
        )
