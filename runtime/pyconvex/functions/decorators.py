"""The decorators that make functions of the deployment (https://docs.convex.dev/functions).

Each is used bare or called, `@query` or `@query(args=..., returns=...)`, and keeps the handler's parameters for
the type checker.

Raises (all):
    RegistrationError: what is decorated is no function, or registered already.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from pyconvex.errors import caller_place

from .context import ActionCtx, MutationCtx, QueryCtx
from .fetch.request import Request
from .fetch.response import Response
from .function import AsyncFunction, Fields, Kind, PlainFunction, RegistrationError, Visibility, register

P = ParamSpec("P")
T = TypeVar("T")
Ctx = TypeVar("Ctx")
CtxOut = TypeVar("CtxOut", covariant=True)


class Decorates(Protocol[CtxOut]):
    """What a decorator called with arguments returns."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - an async handler is tried first
        self, handler: Callable[Concatenate[CtxOut, P], Coroutine[Any, Any, T]], /
    ) -> AsyncFunction[P, T]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[CtxOut, P], T], /) -> PlainFunction[P, T]: ...


class Decorator(Generic[Ctx]):
    """One of `query`, `mutation`, `action` and their internal kinds."""

    def __init__(self, kind: Kind, visibility: Visibility) -> None:
        self._kind = kind
        self._visibility = visibility

    def __repr__(self) -> str:
        prefix = "" if self._visibility is Visibility.PUBLIC else "internal_"
        return f"<decorator {prefix}{self._kind}>"

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - an async handler is tried first
        self, handler: Callable[Concatenate[Ctx, P], Coroutine[Any, Any, T]], /
    ) -> AsyncFunction[P, T]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[Ctx, P], T], /) -> PlainFunction[P, T]: ...
    @overload
    def __call__(self, /, *, args: Fields | None = None, returns: Fields | None = None) -> Decorates[Ctx]: ...
    def __call__(self, handler: object = None, /, *, args: Fields | None = None, returns: Fields | None = None) -> Any:
        """Register `handler`, or return a decorator that does.

        Args:
            args: validators by parameter, or an object validator; otherwise the annotations say.
            returns: validator of the result (a mapping is an object); otherwise the return annotation says.
        """
        if handler is None:

            def decorate(handler: object) -> Any:
                return self._register(handler, args, returns)

            return decorate
        return self._register(handler, args, returns)

    def _register(self, handler: object, args: Fields | None, returns: Fields | None) -> Any:
        try:
            return register(self._kind, self._visibility, handler, args=args, returns=returns)
        except RegistrationError as error:
            error.place = error.place or caller_place(2)
            raise


query = Decorator[QueryCtx](Kind.QUERY, Visibility.PUBLIC)
mutation = Decorator[MutationCtx](Kind.MUTATION, Visibility.PUBLIC)
action = Decorator[ActionCtx](Kind.ACTION, Visibility.PUBLIC)
internal_query = Decorator[QueryCtx](Kind.QUERY, Visibility.INTERNAL)
internal_mutation = Decorator[MutationCtx](Kind.MUTATION, Visibility.INTERNAL)
internal_action = Decorator[ActionCtx](Kind.ACTION, Visibility.INTERNAL)


def http_action(handler: Callable[[ActionCtx, Request], Awaitable[Response]], /) -> AsyncFunction[[Request], Response]:
    """Make an HTTP action (https://docs.convex.dev/functions/http-actions) of `async def name(ctx, request)`."""
    try:
        return register(Kind.HTTP_ACTION, Visibility.PUBLIC, handler)  # pyright: ignore[reportReturnType] - an async handler makes an AsyncFunction
    except RegistrationError as error:
        error.place = error.place or caller_place()
        raise
