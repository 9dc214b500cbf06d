"""From a folder of source to a registry that can be served, or to everything that is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType

from pyconvex.errors import Problem
from pyconvex.loading.registry import Registry
from pyconvex.settings import Limits

_NOTHING: Mapping[str, object] = MappingProxyType({})
_NO_SUBSTITUTES: Mapping[str, ModuleType] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    registry: Registry
    warnings: tuple[Problem, ...]
    generated: Mapping[str, str]
    outside: frozenset[Path]
    retire: Callable[[], None]


class Loader:
    def __init__(
        self,
        folder: Path,
        *,
        builtins: Mapping[str, object] = _NOTHING,
        substitutes: Mapping[str, ModuleType] = _NO_SUBSTITUTES,
        limits: Limits | None = None,
    ) -> None: ...

    def load(self) -> Loaded:
        raise NotImplementedError
