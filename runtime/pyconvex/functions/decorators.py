"""The decorators that make functions of the deployment (https://docs.convex.dev/functions).

Each is used bare or called, `@query` or `@query(args=..., returns=...)`, and keeps the handler's parameters for
the type checker.

Raises (all):
    RegistrationError: what is decorated is no function, or registered already.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from ..errors import caller_place
from ..values.validators import Validator
from .context import ActionCtx, MutationCtx, QueryCtx
from .fetch.request import Request
from .fetch.response import Response
from .function import AsyncFunction, Kind, PlainFunction, RegistrationError, Visibility, register

P = ParamSpec("P")
T = TypeVar("T")
Ctx = TypeVar("Ctx")
CtxIn = TypeVar("CtxIn", contravariant=True)

Fields: TypeAlias = "Mapping[str, Validator] | Validator"


class Decorates(Protocol[CtxIn]):
    """What a decorator called with arguments returns."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[CtxIn, P], Coroutine[Any, Any, T]], /
    ) -> AsyncFunction[P, T]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[CtxIn, P], T], /) -> PlainFunction[P, T]: ...


class Decorator(Generic[Ctx]):
    """One of `query`, `mutation`, `action` and their internal kinds."""

    def __init__(self, kind: Kind, visibility: Visibility) -> None:
        self._kind = kind
        self._visibility = visibility

    def __repr__(self) -> str:
        prefix = "" if self._visibility is Visibility.PUBLIC else "internal_"
        return f"<decorator {prefix}{self._kind}>"

    @overload
    def __call__(self, handler: Callable[Concatenate[Ctx, P], Coroutine[Any, Any, T]], /) -> AsyncFunction[P, T]: ...
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
            return lambda handler: self._register(handler, args, returns)  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType] - Decorates types it
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
    raise NotImplementedError
