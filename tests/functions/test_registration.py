"""The decorators: what they make, what they refuse, and that type checkers keep the parameters."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import unwrap
from typing import Any, TypeVar, assert_type, cast

import pytest

from pyconvex.functions.function import AsyncFunction, Kind, RegisteredFunction, RegistrationError, Visibility
from pyconvex.server import (
    ActionCtx,
    MutationCtx,
    QueryCtx,
    Request,
    Response,
    action,
    http_action,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)
from pyconvex.values import v
from pyconvex.values.validators import Number

Handler = TypeVar("Handler", bound=Callable[..., Any])
NOBODY: Any = None


@mutation
async def rename(ctx: MutationCtx, id: str, name: str, nickname: str | None = None) -> str:
    """Rename it."""
    return f"{id} {name} {nickname}"


@query(args={"count": v.number()}, returns=v.array(v.number()))
async def numbers(ctx: QueryCtx, count: float) -> list[float]:
    return [count]


@internal_query
def double(ctx: QueryCtx, n: int) -> int:
    return 2 * n


@http_action
async def answer(ctx: ActionCtx, request: Request) -> Response:
    return Response(request.method)


KINDS: list[tuple[Any, Kind, Visibility, str]] = [
    (query, Kind.QUERY, Visibility.PUBLIC, "Query"),
    (mutation, Kind.MUTATION, Visibility.PUBLIC, "Mutation"),
    (action, Kind.ACTION, Visibility.PUBLIC, "Action"),
    (internal_query, Kind.QUERY, Visibility.INTERNAL, "Query"),
    (internal_mutation, Kind.MUTATION, Visibility.INTERNAL, "Mutation"),
    (internal_action, Kind.ACTION, Visibility.INTERNAL, "Action"),
]


@pytest.mark.parametrize(("decorator", "kind", "visibility", "udf_type"), KINDS, ids=lambda given: str(given))
def test_each_decorator_bare_and_called(decorator: Any, kind: Kind, visibility: Visibility, udf_type: str) -> None:
    async def handler(ctx: Any) -> None: ...

    for registered in (decorator(handler), decorator()(handler), decorator(args={}, returns=v.null())(handler)):
        assert isinstance(registered, RegisteredFunction)
        assert (registered.kind, registered.visibility, registered.handler) == (kind, visibility, handler)
        assert registered.kind.udf_type == udf_type


def test_a_registered_function_is_still_a_function() -> None:
    assert asyncio.run(rename(NOBODY, id="1", name="Ada")) == "1 Ada None"
    assert double(NOBODY, n=2) == 4
    assert asyncio.run(answer(NOBODY, Request("http://x/"))).ok
    assert (rename.__name__, rename.__doc__, rename.__module__) == ("rename", "Rename it.", __name__)
    assert repr(rename).startswith("<mutation ")


def test_type_checkers_keep_the_parameters() -> None:
    """Pyright checks these lines; at run time they are true by themselves."""
    assert asyncio.run(assert_type(rename(NOBODY, id="1", name="Ada"), Coroutine[Any, Any, str])) == "1 Ada None"
    assert asyncio.run(assert_type(numbers(NOBODY, count=1.0), Coroutine[Any, Any, list[float]])) == [1.0]
    assert assert_type(double(NOBODY, n=1), int) == 2
    assert assert_type(answer, AsyncFunction[[Request], Response]) is answer
    with pytest.raises(TypeError):
        rename(NOBODY, id="1", nam="Ada")  # pyright: ignore[reportCallIssue] - which is what this test is about


async def references_are_typed(ctx: ActionCtx) -> None:
    """Never run; pyright checks it."""
    assert_type(await ctx.run_mutation(rename, id="1", name="Ada"), str)
    assert_type(await ctx.run_query(numbers, count=1.0), list[float])
    assert_type(await ctx.run_query(double, n=1), int)
    await ctx.run_mutation(rename, id="1", nam="Ada")  # pyright: ignore[reportCallIssue] - no such parameter
    await ctx.run_query("numbers:anything", whatever=1)


def test_validators_are_what_was_given_or_annotated() -> None:
    assert numbers.args == v.object({"count": v.number()})
    assert numbers.returns == v.array(v.number())
    assert rename.returns == v.string()
    assert (answer.args, answer.returns) == (None, None)
    rename.resolve()


def test_the_place_is_the_line_of_def() -> None:
    def noisy(handler: Handler) -> Handler:
        @wraps(handler)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return handler(*args, **kwargs)

        return cast("Handler", wrapper)

    @query
    @noisy
    async def far(  # the second line below the first decorator
        ctx: Any,
        n: int,
    ) -> None: ...

    code = unwrap(far.handler).__code__
    assert (far.place.file, far.place.line) == (__file__, code.co_firstlineno + 2)
    assert far.args == v.object({"n": Number(as_int=True)})
    assert isinstance(far, AsyncFunction)


class Prepared:
    def __call__(self, ctx: Any) -> None: ...


REFUSED: list[tuple[Any, str, str]] = [
    (rename, "AlreadyRegistered", "`rename` is already a mutation, so it cannot become a query too"),
    (answer, "AlreadyRegistered", "`answer` is already an HTTP action"),
    ({"handler": 1}, "NotAFunction", "`@query` decorates a function, not `{'handler': 1}` (dict)"),
    (Prepared, "NotAFunction", "not the class `Prepared`"),
    ("name", "NotAFunction", "not `'name'` (str)"),
]


@pytest.mark.parametrize(("handler", "code", "message"), REFUSED)
def test_what_cannot_be_registered(handler: Any, code: str, message: str) -> None:
    for decorate in (query, query()):
        with pytest.raises(RegistrationError) as caught:
            decorate(handler)
        assert caught.value.code == code
        assert message in caught.value.message
        assert caught.value.place is not None
        assert caught.value.place.file == __file__
