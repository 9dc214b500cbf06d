"""Validators from annotations; unknown ones are refused by name and place."""

import datetime
import enum
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, Required, TypedDict

import pytest

from pyconvex.functions.signatures import AnnotationError, args_validator, returns_validator
from pyconvex.server import (
    PaginationOpts,
    PaginationResult,
    pagination_opts_validator,
    pagination_result_validator,
    query,
)
from pyconvex.values import Int64, Undefined, Value, v
from pyconvex.values.validators import Number, ValidationFailed, Validator


class Users(str):
    """What `Id.users` of the generated data model looks like."""

    __convex_table__ = "users"
    __slots__ = ()


class Options(TypedDict):
    limit: int
    tags: NotRequired[list[str]]


class Loose(TypedDict, total=False):
    limit: Required[float]
    tags: "list[str]"


class Patch(TypedDict):
    name: str
    nick: str | Undefined | None
    any: NotRequired[Any | Undefined]


class Wider(Options):
    author: Users


class Tree(TypedDict):
    children: list["Tree"]


class Color(enum.Enum):
    RED = "red"


Name = NewType("Name", str)
WHOLE, FLOAT = Number(as_int=True), Number(as_float=True)
OPTIONS = v.object({"limit": WHOLE, "tags": v.optional(v.array(v.string()))})

READ: list[tuple[object, Validator]] = [
    (str, v.string()),
    (bool, v.boolean()),
    (int, WHOLE),
    (float, FLOAT),
    (Int64, v.int64()),
    (bytes, v.bytes()),
    (None, v.null()),
    (type(None), v.null()),
    (Any, v.any()),
    (object, v.any()),
    (Value, v.any()),
    (Value | None, v.any()),
    (list[Value], v.array(v.any())),
    (list, v.array(v.any())),
    (list[str], v.array(v.string())),
    (list[list[int]], v.array(v.array(WHOLE))),
    (dict, v.record(v.string(), v.any())),
    (dict[str, float], v.record(v.string(), FLOAT)),
    (dict[Users, bool], v.record(v.id("users"), v.boolean())),
    (Users, v.id("users")),
    (Literal["a"], v.literal("a")),
    (Literal["a", 2, True, None], v.union(v.literal("a"), v.literal(2), v.literal(True), v.null())),
    (str | None, v.union(v.string(), v.null())),
    (Optional[Users], v.union(v.id("users"), v.null())),  # noqa: UP045 - the older spelling is read too
    (int | float, v.number()),
    (int | float | None, v.union(v.number(), v.null())),
    (int | Int64, v.union(WHOLE, v.int64())),
    (Annotated[str, "shown"], v.string()),
    (Name, v.string()),
    (Options, OPTIONS),
    (Loose, v.object({"limit": FLOAT, "tags": v.optional(v.array(v.string()))})),
    (Wider, OPTIONS.extend({"author": v.id("users")})),
    (Patch, v.object({"name": v.string(), "nick": v.optional(v.nullable(v.string())), "any": v.optional(v.any())})),
    ("list[Options]", v.array(OPTIONS)),
    (list["Options"], v.array(OPTIONS)),
    (PaginationResult[Users], pagination_result_validator(v.id("users"))),
    (PaginationResult, pagination_result_validator(v.any())),
    (list[PaginationResult["Options"]], v.array(pagination_result_validator(OPTIONS))),
]

REFUSED: list[tuple[object, str]] = [
    (datetime.datetime, "`datetime`"),
    (list[datetime.datetime], "`datetime`"),
    (set[str], "`set[str]`"),
    (tuple[int, ...], "`tuple[int, ...]`"),
    (Sequence[str], "`collections.abc.Sequence[str]`"),
    (Color, "`Color`"),
    (Literal[b"x"], "literals are str, int, bool, Int64 or None"),
    (Literal[Color.RED], "literals are str, int, bool, Int64 or None"),
    (dict[int, str], "Records can only have string keys"),
    (dict[Literal["a"], str], "Records cannot have string literal keys"),
    (Tree, "`Tree`, which contains itself"),
    ("Missing", "the name `Missing` is not defined (is it imported under `if TYPE_CHECKING:` only?)"),
    ("list[", "cannot be evaluated (SyntaxError"),
    (TypedDict("Bad", {"when": datetime.date}), "`Bad`, whose field `when` is `date`"),
    (TypedDict("Dollar", {"$x": str}), "`Dollar`: Field name '$x' starts with '$'"),
]


def annotated(annotation: object) -> Any:
    async def handler(ctx: Any, x: Any) -> None: ...

    handler.__annotations__ = {"ctx": Any, "x": annotation, "return": annotation}
    return handler


@pytest.mark.parametrize(("annotation", "expected"), READ)
def test_an_annotation_has_a_validator(annotation: object, expected: Validator) -> None:
    assert args_validator(annotated(annotation), None) == v.object({"x": expected})
    assert returns_validator(annotated(annotation), None) == expected


@pytest.mark.parametrize(("annotation", "reason"), REFUSED)
def test_an_unknown_annotation_is_refused(annotation: object, reason: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        args_validator(annotated(annotation), None)
    assert caught.value.message.startswith("parameter `x` of `handler` is annotated ")
    assert reason in caught.value.message
    assert "str, bool, int, float, Int64, bytes, None, list[T]" in (caught.value.hint or "")
    with pytest.raises(AnnotationError, match="`handler` is annotated to return ") as caught:
        returns_validator(annotated(annotation), None)
    assert reason in caught.value.message


def test_the_place_is_the_parameter() -> None:
    @query
    async def late(
        ctx: Any,
        good: str,
        bad: datetime.datetime,
    ) -> datetime.date: ...

    with pytest.raises(AnnotationError) as caught:
        late.resolve()
    place, first = caught.value.place, late.place
    assert place is not None
    assert (place.file, place.line, place.column) == (__file__, first.line + 3, 9)
    with pytest.raises(AnnotationError) as caught:
        _ = late.returns
    place = caught.value.place
    assert place is not None
    assert (place.line, place.column) == (first.line + 4, 10)


def test_annotations_are_read_after_the_module() -> None:
    async def early(ctx: Any, x: Any) -> Any: ...

    early.__annotations__ |= {"x": "Later", "return": "list[Later]"}
    registered = query(early)
    globals()["Later"] = Options
    try:
        assert (registered.args, registered.returns) == (v.object({"x": OPTIONS}), v.array(OPTIONS))
    finally:
        del globals()["Later"]


def test_defaults_make_optional() -> None:
    async def handler(ctx: Any, a: str, b: int = 1, *, c: str, d: str | None = None) -> None: ...

    optional_d = v.optional(v.union(v.string(), v.null()))
    expected = {"a": v.string(), "b": v.optional(WHOLE), "c": v.string(), "d": optional_d}
    assert args_validator(handler, None) == v.object(expected)


def test_the_options_of_a_page_are_those_of_the_validator() -> None:
    """Two of them as whole numbers, which their JSON does not say."""
    read = args_validator(annotated(PaginationOpts), None)
    assert read.json() == v.object({"x": pagination_opts_validator}).json()


def test_nothing_said_is_any() -> None:
    async def handler(ctx: Any, x: Any, y: Any = 1) -> Any: ...

    handler.__annotations__.clear()
    assert args_validator(handler, None) == v.object({"x": v.any(), "y": v.optional(v.any())})
    assert returns_validator(handler, None) is None


def tables(number: int) -> str | None:
    return None


FURTHER: list[tuple[Value, Value | str]] = [
    ({"a": 1.0}, {"a": 1}),
    ({"a": 1, "b": "x", "c": "y"}, {"a": 1, "b": "x", "c": "y"}),
    ({"b": "x"}, "Object is missing the required field `a`"),
    ({"a": 1, "b": 2}, "Path: .b"),
    ({"a": 1, "ctx": "x"}, "Object contains extra field `ctx`"),
    ([], "Value does not match validator"),
]


@pytest.mark.parametrize(("args", "expected"), FURTHER)
def test_kwargs_accept_further_fields(args: Value, expected: Value | str) -> None:
    async def handler(ctx: Any, a: int, **rest: str) -> None: ...

    validator = args_validator(handler, None)
    if isinstance(expected, str):
        with pytest.raises(ValidationFailed) as caught:
            validator.validate(args, tables)
        assert expected in caught.value.message
    else:
        assert validator.validate(args, tables) == expected
        assert validator.json() == {"type": "any"}


def no_context() -> Any:
    async def handler() -> None: ...

    return handler


def only_keywords() -> Any:
    async def handler(*, ctx: Any) -> None: ...

    return handler


def positional() -> Any:
    async def handler(ctx: Any, x: str, /) -> None: ...

    return handler


def starred() -> Any:
    async def handler(ctx: Any, *rest: str) -> None: ...

    return handler


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (no_context, "NoContext"),
        (only_keywords, "NoContext"),
        (positional, "PositionalParameter"),
        (starred, "PositionalParameter"),
    ],
)
def test_parameters_that_cannot_be_arguments(make: Any, code: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        args_validator(make(), None)
    assert caught.value.code == code


def given_args(ctx: Any, a: Any, b: Any = 1) -> None: ...


def given_kwargs(ctx: Any, **rest: Any) -> None: ...


GIVEN: list[tuple[Any, Any, Validator | str]] = [
    (given_args, {"a": v.string()}, v.object({"a": v.string()})),
    (given_args, v.object({"a": v.string(), "b": v.null()}), v.object({"a": v.string(), "b": v.null()})),
    (given_args, v.any(), v.any()),
    (given_kwargs, {"x": v.string()}, v.object({"x": v.string()})),
    (given_args, {}, "parameter `a` of `given_args` is not in its `args=`, so it never gets a value"),
    (given_args, {"a": v.any(), "c": v.any()}, "has the field `c`, for which there is no parameter"),
    (given_kwargs, {"ctx": v.any()}, "has the field `ctx`, for which there is no parameter"),
    (given_args, v.string(), "`args=` of `given_args` is v.string(), but arguments are an object"),
    (given_args, {"a": str}, "`args=` of `given_args`: v.object() entries must be validators"),
]


@pytest.mark.parametrize(("handler", "given", "expected"), GIVEN)
def test_args_win_over_annotations(handler: Any, given: Any, expected: Validator | str) -> None:
    if isinstance(expected, str):
        with pytest.raises(AnnotationError) as caught:
            args_validator(handler, given)
        assert expected in caught.value.message
    else:
        assert args_validator(handler, given) == expected


def test_returns_wins_over_the_annotation() -> None:
    assert returns_validator(given_args, v.string()) == v.string()
    assert returns_validator(given_args, {"a": v.string()}) == v.object({"a": v.string()})
