"""Validators from Python annotations: `list[str] | None` is `v.union(v.array(v.string()), v.null())`."""

import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ForwardRef, Literal, NotRequired, Required, Union, get_args, get_origin, is_typeddict

from pyconvex.values import Int64, Undefined, Value, v
from pyconvex.values.validators import Id, Number, Validator, optional

ALLOWED = (
    "str, bool, int, float, Int64, bytes, None, list[T], dict[str, T], a TypedDict, "
    "Literal[...], X | Y, Id.table and Any"
)

_SCALARS: Mapping[object, Validator] = {
    str: v.string(),
    bool: v.boolean(),
    int: Number(as_int=True),
    float: Number(as_float=True),
    Int64: v.int64(),
    bytes: v.bytes(),
    None: v.null(),
    type(None): v.null(),
    Any: v.any(),
    object: v.any(),
    list: v.array(v.any()),
    dict: v.record(v.string(), v.any()),
}


class Unreadable(Exception):
    """An annotation, or a part of it, that no validator expresses; the text says which."""


class Namespace:
    """The names that a handler's annotations may use: its module's, and those of the functions around it."""

    def __init__(self, function: types.FunctionType) -> None:
        self._globals = function.__globals__
        self.enclosing = dict(_enclosing(function))

    def evaluate(self, text: str) -> object:
        """What an annotation in quotes stands for.

        Raises:
            Unreadable: it cannot be evaluated.
        """
        try:
            return eval(_compiled(text), self._globals, self.enclosing)
        except NameError as error:
            hint = "is it imported under `if TYPE_CHECKING:` only?"
            raise Unreadable(f"`{text}`, where the name `{error.name}` is not defined ({hint})") from None
        except Exception as error:
            raise Unreadable(f"`{text}`, which cannot be evaluated ({type(error).__name__}: {error})") from None


def validator_of(annotation: object, names: Namespace) -> Validator:
    """The validator that an annotation stands for.

    Raises:
        Unreadable: there is none.
    """
    return _Reader(names).read(annotation)


class _Reader:
    def __init__(self, names: Namespace) -> None:
        self._names = names
        self._open: list[object] = []
        self._bound: Mapping[object, Validator] = {}
        """What the type variables of the generic TypedDict that is being read stand for."""

    def read(self, annotation: object) -> Validator:
        if annotation is Value:
            return v.any()
        if isinstance(annotation, str):
            return self.read(self._names.evaluate(annotation))
        if isinstance(annotation, ForwardRef):
            return self.read(self._names.evaluate(annotation.__forward_arg__))
        scalar = _SCALARS.get(annotation) if isinstance(annotation, type) or annotation in (None, Any) else None
        if scalar is not None:
            return scalar
        table = getattr(annotation, "__convex_table__", None)
        if isinstance(table, str):
            return Id(table)
        if is_typeddict(annotation):
            return self._typed_dict(typing.cast("type", annotation))
        if isinstance(annotation, typing.TypeVar):
            return self._bound[annotation] if annotation in self._bound else v.any()
        return self._generic(annotation)

    def _generic(self, annotation: object) -> Validator:
        origin, parts = get_origin(annotation), get_args(annotation)
        if origin in _UNIONS:
            return v.any() if all(part in parts for part in get_args(Value)) else self._union(parts)
        if origin is Literal:
            return _union_of([self._literal(value) for value in parts])
        if origin is list:
            return v.array(self.read(parts[0]))
        if origin is dict:
            return self._record(annotation, *parts)
        if origin is typing.Annotated:
            return self.read(parts[0])
        if is_typeddict(origin):
            return self._generic_typed_dict(typing.cast("type", origin), parts)
        for attribute in ("__value__", "__supertype__"):  # `type Name = ...` and NewType
            meaning = getattr(annotation, attribute, None)
            if meaning is not None:
                return self.read(meaning)
        raise Unreadable(f"`{_shown(annotation)}`")

    def _union(self, parts: tuple[object, ...]) -> Validator:
        members = [self.read(part) for part in parts]
        numbers = [member for member in members if isinstance(member, Number)]
        if len(numbers) > 1:  # `int | float`: a number, handed on as it was written
            members[members.index(numbers[0])] = v.number()
            members = [member for member in members if member not in numbers]
        return _union_of(members)

    def _literal(self, value: object) -> Validator:
        if value is None:
            return v.null()
        if type(value) in (str, int, float, bool, Int64):
            return v.literal(typing.cast("str | int | float | bool", value))
        raise Unreadable(f"`Literal[{value!r}]`, though literals are str, int, bool, Int64 or None")

    def _record(self, annotation: object, key: object, value: object) -> Validator:
        keys = self.read(key)
        try:
            return v.record(keys, self.read(value))
        except TypeError as error:
            raise Unreadable(f"`{_shown(annotation)}`: {error}") from None

    def _typed_dict(self, shape: type) -> Validator:
        if shape in self._open:
            raise Unreadable(f"`{shape.__name__}`, which contains itself (validators are finite: use Any inside)")
        self._open.append(shape)
        try:
            hints = typing.get_type_hints(shape, None, self._names.enclosing, include_extras=True)
        except NameError as error:
            raise Unreadable(f"`{shape.__name__}`, where the name `{error.name}` is not defined") from None
        fields = {name: self._field(shape, name, hint) for name, hint in hints.items()}
        self._open.pop()
        try:
            return v.object(fields)
        except ValueError as error:
            raise Unreadable(f"`{shape.__name__}`: {error}") from None

    def _generic_typed_dict(self, shape: type, parts: tuple[object, ...]) -> Validator:
        outer, parameters = self._bound, getattr(shape, "__parameters__", ())
        self._bound = dict(zip(parameters, map(self.read, parts), strict=True))
        try:
            return self._typed_dict(shape)
        finally:
            self._bound = outer

    def _field(self, shape: type, name: str, hint: object) -> Validator:
        is_optional = name in getattr(shape, "__optional_keys__", ())
        while (origin := get_origin(hint)) in _FIELD_MARKS:
            if origin in (Required, NotRequired):
                is_optional = origin is NotRequired
            hint = get_args(hint)[0]
        if get_origin(hint) in _UNIONS and Undefined in get_args(hint):  # as in `Fields.users` and `Patch.users`
            hint, is_optional = _without_undefined(hint), True
        try:
            field = self.read(hint)
        except Unreadable as error:
            raise Unreadable(f"`{shape.__name__}`, whose field `{name}` is {error}") from None
        return optional(field) if is_optional else field


@lru_cache(4096)
def _compiled(text: str) -> types.CodeType:
    """An annotation's code; a reload reads the same texts again."""
    return compile(text.strip(), "<annotation>", "eval")


_UNIONS = (Union, types.UnionType)
_FIELD_MARKS: frozenset[object] = frozenset({Required, NotRequired, getattr(typing, "ReadOnly", Required)})


def _without_undefined(union: object) -> object:
    return Union[tuple(part for part in get_args(union) if part is not Undefined)]  # noqa: UP007 - made at run time


def _union_of(members: list[Validator]) -> Validator:
    return members[0] if len(members) == 1 else v.union(*members)


def _enclosing(function: types.FunctionType) -> list[tuple[str, object]]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [(name, cell.cell_contents) for name, cell in cells if _is_filled(cell)]


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _shown(annotation: object) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    return repr(annotation).removeprefix("typing.")[:80]
