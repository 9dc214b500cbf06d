from dataclasses import dataclass

from pyconvex.loading.registry import Registry


@dataclass(frozen=True, slots=True)
class Difference:
    """Names in sorted order: function paths, or routes as `POST /path`."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Changes:
    functions: Difference = Difference()
    routes: Difference = Difference()

    def __bool__(self) -> bool:
        return bool(self.functions or self.routes)


def changes_between(old: Registry | None, new: Registry) -> Changes:
    raise NotImplementedError
