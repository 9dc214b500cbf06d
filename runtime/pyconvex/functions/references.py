"""References to functions by path: `api`, `internal`, and the two spellings of a name."""

import keyword
import re
from typing import Any, Generic, ParamSpec, TypeVar

from pyconvex.errors import DeveloperError

from .function import RegisteredFunction

P = ParamSpec("P")
T = TypeVar("T")


class InvalidReference(DeveloperError, TypeError):
    """Something that names no function was given where a function belongs."""


class FunctionReference(Generic[P, T]):
    """A function by its path: `api.admin.reports.daily` is `admin/reports:daily`.

    Attributes extend the path, so that nothing of its own stands in the way of a user's names; `ref["x"]` does the
    same for names that are no identifiers or Python keywords. `function_path` reads the path.
    """

    __slots__ = ("__children", "__parts", "__root")

    def __init__(self, path: str | tuple[str, ...], root: str = "api") -> None:
        if isinstance(path, str):
            module, _, name = path.partition(":")
            path = (*module.split("/"), name or "default")
        self.__root = root
        self.__parts = path
        self.__children: dict[str, FunctionReference[..., Any]] = {}

    def __getattr__(self, name: str) -> "FunctionReference[..., Any]":
        if name.startswith("__"):  # what copy, pickle and inspect ask for is never a user's function
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> "FunctionReference[..., Any]":
        child = self.__children.get(name)
        if child is None:
            child = self.__children[name] = FunctionReference((*self.__parts, name), self.__root)
        return child

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionReference) and self.__parts == other.__parts

    def __hash__(self) -> int:
        return hash(self.__parts)

    def __repr__(self) -> str:
        return self.__root + "".join(
            f".{part}" if part.isidentifier() and not keyword.iskeyword(part) else f"[{part!r}]"
            for part in self.__parts
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return FunctionReference, (self.__parts, self.__root)

    def __convex_path__(self) -> str:
        """The path; read it with `function_path`. Double underscores leave every other name to the user.

        Raises:
            InvalidReference: fewer than two names.
        """
        if len(self.__parts) < 2:
            raise InvalidReference(
                "InvalidReference",
                f"API path is expected to be of the form `{self.__root}.module_name.function_name`. Found: `{self!r}`",
                hint="name the module and the function",
            )
        return f"{'/'.join(self.__parts[:-1])}:{self.__parts[-1]}"


AnyApi = FunctionReference[..., Any]

api: AnyApi = FunctionReference((), "api")
internal: AnyApi = FunctionReference((), "internal")


def function_path(fn: object) -> str | RegisteredFunction[..., Any]:
    """What `ctx.run_*` was given: a path, or the registered function itself.

    Args:
        fn: `api.messages.send`, a registered function, or a path such as `"messages:send"`.

    Raises:
        InvalidReference: too short a reference, or something else altogether.
    """
    if isinstance(fn, FunctionReference):
        return fn.__convex_path__()
    if isinstance(fn, RegisteredFunction):
        return fn  # pyright: ignore[reportUnknownVariableType] - isinstance cannot see the parameters
    if isinstance(fn, str) and fn:
        return fn
    raise _not_a_function(fn)


def _not_a_function(fn: object) -> InvalidReference:
    if callable(fn) and hasattr(fn, "__name__"):
        name = fn.__name__
        return InvalidReference(
            "NotRegistered",
            f"`{name}` is a plain function, not a function of this deployment",
            hint=f"decorate it (`@internal_mutation` and the like), or call it directly: `await {name}(...)`",
        )
    return InvalidReference(
        "InvalidReference",
        f"A function is named by a reference (`api.messages.send`), by itself or by its path, not by {fn!r:.60}",
    )


_CAPITAL = re.compile(r"(?<=[A-Za-z0-9])(?=[A-Z])")
_WORD_START = re.compile(r"(?<=[A-Za-z0-9])_([A-Za-z])")  # `take_2` stays, or there would be no way back


def snake(name: str) -> str:
    """A name or a whole path as Python spells it: `sendOne` → `send_one`."""
    return name if name.islower() else _CAPITAL.sub("_", name).lower()


def camel(name: str) -> str:
    """A name or a whole path as JavaScript spells it: `send_one` → `sendOne`."""
    return _WORD_START.sub(lambda match: match[1].upper(), name) if "_" in name else name


def spellings(path: str) -> tuple[str, ...]:
    """Every spelling that a function registered as `path` answers to, its own first.

    `admin_tools:send_one` → itself, `adminTools:sendOne`, `admin_tools:sendOne`, `adminTools:send_one`.
    """
    module, colon, name = path.partition(":")
    modules = dict.fromkeys((module, camel(module), snake(module)))
    names = dict.fromkeys((name, camel(name), snake(name)))
    return tuple(dict.fromkeys([path, *(f"{one}{colon}{other}" for one in modules for other in names)]))
