"""Code around HTTP actions: `http.use(middleware)` for all routes of a router, `http.route(..., middleware=[...])`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable, iscoroutine, iscoroutinefunction, signature
from types import FunctionType
from typing import Any, Protocol, TypeAlias, cast

from msgspec import Struct

from pyconvex.errors import BareError, Place
from pyconvex.functions.fetch.request import Request
from pyconvex.functions.fetch.response import Response
from pyconvex.functions.function import RegisteredFunction, described, kind_phrase
from pyconvex.functions.positions import definition_place

from .error import RouteError

Next: TypeAlias = Callable[[Request], Awaitable[Response]]
"""What a middleware goes on with: `response = await next(request)`."""

Middleware: TypeAlias = Callable[[Any, Request, Next], Awaitable[Response]]
"""`async def middleware(ctx: ActionCtx, request: Request, next: Next) -> Response`.

It may answer by itself, hand on another request, change the response, and catch what the handler raises. It runs
inside the action: with its `ctx`, under its time limit, in its log.
"""

Handle: TypeAlias = Callable[[Any, Request], Awaitable[Response]]
"""A handler with the middleware around it so far."""

_SHAPE = "`async def name(ctx, request, next)`"


class Runnable(Protocol):
    """An HTTP action, with or without middleware around it."""

    @property
    def name(self) -> str: ...
    @property
    def handler(self) -> Callable[[Any, Request], Any]:
        """Called with ctx and request; gives a Response, or what it is awaited for."""
        ...


class Layered(Struct, frozen=True):
    """An HTTP action inside its middleware; it runs like the action alone."""

    name: str
    handler: Handle


def layered(action: RegisteredFunction[..., Any], middleware: Sequence[Middleware]) -> Layered:
    """`action` inside `middleware`, the first of which is the outermost."""
    run = _innermost(action)
    for layer in reversed(middleware):
        run = _around(layer, run)
    return Layered(action.name, run)


def checked_middleware(middleware: object) -> Middleware:
    """What `use()` or `middleware=[...]` was given.

    Raises:
        RouteError: nothing that can be called, no `async def`, or other parameters than ctx, request and next.
    """
    if isinstance(middleware, RegisteredFunction):
        known = cast("RegisteredFunction[..., Any]", middleware)
        raise _wrong(
            f"the middleware `{known.name}` is {kind_phrase(known.kind)}",
            f"take the decorator away: a middleware is a plain {_SHAPE}",
            known.place,
        )
    if isinstance(middleware, type) or not callable(middleware):
        hint = f"pass {_SHAPE}; middleware of ASGI goes around an application that is mounted"
        raise _wrong(f"a middleware is {_SHAPE}, not {described(middleware)}", hint)
    name, place = name_of(middleware), _place_of(middleware)
    if not (iscoroutinefunction(middleware) or iscoroutinefunction(getattr(middleware, "__call__", None))):  # noqa: B004 - the method itself is asked about
        raise _wrong(f"the middleware `{name}` is no `async def`", f"write {_SHAPE.replace('name', name)}", place)
    try:
        signature(middleware).bind(None, None, None)
    except TypeError:
        raise _wrong(
            f"the middleware `{name}` does not take the three arguments ctx, request and next",
            f"write {_SHAPE.replace('name', name)}, and go on with `return await next(request)`",
            place,
        ) from None
    return cast("Middleware", middleware)


def checked_layers(given: object) -> tuple[Middleware, ...]:
    """What `route(middleware=...)` was given."""
    if isinstance(given, list | tuple):
        return tuple(checked_middleware(each) for each in cast("Sequence[object]", given))
    hint = f"write middleware=[{name_of(given)}]" if callable(given) else "write middleware=[first, second]"
    raise _wrong(f"middleware= takes a list, not {described(given)}", hint)


def name_of(middleware: object) -> str:
    """A middleware's own name, or that of its class."""
    return str(getattr(middleware, "__name__", type(middleware).__name__))


def no_response(name: str, returned: object) -> BareError:
    """The handler `name` has returned something else than a Response."""
    return BareError(
        "NotAResponse",
        f"HTTP actions must return a Response, but `{name}` returned {_thing(returned)}",
        hint="Return `Response(...)` or `Response.json(...)`.",
    )


def _innermost(action: RegisteredFunction[..., Any]) -> Handle:
    async def run(ctx: Any, request: Request) -> Response:
        returned = action.handler(ctx, request)
        if isawaitable(returned):
            returned = await returned
        if not isinstance(returned, Response):
            raise no_response(action.name, returned)
        return returned

    return run


def _around(layer: Middleware, inner: Handle) -> Handle:
    async def run(ctx: Any, request: Request) -> Response:
        async def following(request: Request) -> Response:
            _check_handed_on(layer, request)
            return await inner(ctx, request)

        returned = await layer(ctx, request, following)
        _check_returned(layer, returned)
        return returned

    return run


def _check_handed_on(layer: Middleware, request: object) -> None:
    if not isinstance(request, Request):
        raise BareError(
            "NotARequest",
            f"The middleware `{name_of(layer)}` called next() with {_thing(request)} instead of a Request",
            hint="Write `await next(request)`.",
            place=_place_of(layer),
        )


def _check_returned(layer: Middleware, returned: object) -> None:
    if not isinstance(returned, Response):
        if iscoroutine(returned):
            returned.close()  # so that Python does not tell of it too, in other words
        awaited = "`return await next(request)`" if isawaitable(returned) else "what `await next(request)` gave"
        raise BareError(
            "NotAResponse",
            f"A middleware must return a Response, but `{name_of(layer)}` returned {_thing(returned)}",
            hint=f"Return {awaited}, or a `Response(...)` of its own.".replace("Return `return ", "Write `return "),
            place=_place_of(layer),
        )


def _thing(returned: object) -> str:
    return "None" if returned is None else f"an object of type `{type(returned).__name__}`"


def _place_of(middleware: object) -> Place | None:
    return definition_place(middleware) if isinstance(middleware, FunctionType) else None


def _wrong(message: str, hint: str, other: Place | None = None) -> RouteError:
    return RouteError("InvalidMiddleware", message, hint=hint, other=other)
