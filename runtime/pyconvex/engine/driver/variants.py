"""Modules that stand in for others of the same name, and the ways besides the import statement that lead to them."""

from __future__ import annotations

import builtins as real_builtins
import importlib as real_importlib
import sys as real_sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any


def variant(module: ModuleType, **changes: object) -> ModuleType:
    """A module like `module`, but for `changes`."""

    def later(name: str) -> Any:
        """What the module has got since, as packages do when their submodules are imported."""
        return getattr(module, name)

    made = ModuleType(module.__name__, module.__doc__)
    vars(made).update({**vars(module), "__getattr__": later, **changes})
    return made


def findable(substitutes: Mapping[str, ModuleType]) -> Mapping[str, ModuleType]:
    """The same and `importlib`, `sys` and `builtins`, in which code finds what an import statement would give it."""
    found = dict(substitutes)
    found["importlib"] = variant(
        real_importlib,
        import_module=_import_module(found),
        __import__=_import(real_importlib.__import__, found),
    )
    found["sys"] = _Window(real_sys, modules=_Modules(found))
    found["builtins"] = _Window(real_builtins, __import__=_import(real_builtins.__import__, found))
    return MappingProxyType(found)


def _import_module(substitutes: Mapping[str, ModuleType]) -> Callable[[str, str | None], ModuleType]:
    def import_module(name: str, package: str | None = None) -> ModuleType:
        """https://docs.python.org/3/library/importlib.html#importlib.import_module"""
        return substitutes.get(name) or real_importlib.import_module(name, package)

    return import_module


def _import(original: Callable[..., ModuleType], substitutes: Mapping[str, ModuleType]) -> Callable[..., ModuleType]:
    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """https://docs.python.org/3/library/functions.html#import__"""
        module = original(name, globals, locals, fromlist, level)
        return module if level else substitutes.get(module.__name__, module)

    return import_


class _Window(ModuleType):
    """A module as it is at each moment, but for `changes`; what is set or deleted is set or deleted there."""

    def __init__(self, module: ModuleType, **changes: object) -> None:
        super().__init__(module.__name__, module.__doc__)
        vars(self).clear()
        vars(self).update(changes, __wrapped__=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["__wrapped__"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(vars(self)["__wrapped__"], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(vars(self)["__wrapped__"], name)

    def __dir__(self) -> list[str]:
        return dir(vars(self)["__wrapped__"])


class _Modules(MutableMapping[str, ModuleType]):
    """`sys.modules`, with the substitutes in the place of what they stand for."""

    def __init__(self, substitutes: Mapping[str, ModuleType]) -> None:
        self._substitutes = substitutes

    def __getitem__(self, name: str) -> ModuleType:
        module = real_sys.modules[name]
        return self._substitutes.get(name, module)

    def __setitem__(self, name: str, module: ModuleType) -> None:
        real_sys.modules[name] = module

    def __delitem__(self, name: str) -> None:
        del real_sys.modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(real_sys.modules)

    def __len__(self) -> int:
        return len(real_sys.modules)

    def copy(self) -> dict[str, ModuleType]:
        return dict(self)
