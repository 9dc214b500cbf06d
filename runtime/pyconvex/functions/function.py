"""Registered functions: what the decorators make of a user's handler."""

from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from functools import cached_property, update_wrapper
from inspect import iscoroutinefunction, unwrap
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, cast

from msgspec import Struct

from pyconvex.errors import Place, PyconvexError
from pyconvex.values.validators import Validator

from .positions import definition_place

P = ParamSpec("P")
T = TypeVar("T")

Fields: TypeAlias = Mapping[str, Validator] | Validator
"""What `args=` and `returns=` take: a validator, or the fields of an object."""


class Kind(StrEnum):
    """The four kinds of function (https://docs.convex.dev/functions)."""

    QUERY = "query"
    MUTATION = "mutation"
    ACTION = "action"
    HTTP_ACTION = "http_action"

    @property
    def udf_type(self) -> str:
        """The kind as Convex's wire formats write it."""
        return _UDF_TYPES[self]


_UDF_TYPES = {
    Kind.QUERY: "Query",
    Kind.MUTATION: "Mutation",
    Kind.ACTION: "Action",
    Kind.HTTP_ACTION: "HttpAction",
}


class Visibility(StrEnum):
    PUBLIC = "public"
    INTERNAL = "internal"


class RegistrationError(PyconvexError, TypeError):
    """A decorator was given something that cannot become a function of the deployment."""


class RegisteredFunction(Generic[P, T]):
    """A query, mutation, action or HTTP action as its module defines it.

    Validators come from the annotations unless `args` or `returns` say otherwise. They are computed on first
    access, when the module has been imported, so annotations may name what is defined further down.
    Calling the object calls the handler, without validation and within whatever is running.

    Raises (`args`, `returns`, `resolve`):
        AnnotationError: an annotation has no validator; it names the parameter and its line.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        kind: Kind,
        visibility: Visibility,
        handler: Callable[..., Any],
        *,
        args: Fields | None = None,
        returns: Fields | None = None,
    ) -> None:
        update_wrapper(self, handler)
        self.kind = kind
        self.visibility = visibility
        self.handler = handler
        self.name: str = handler.__name__
        self._args_spec = args
        self._returns_spec = returns

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.handler(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.__module__}.{self.__qualname__}>"

    @cached_property
    def place(self) -> Place:
        """The line of the handler's `def`, with the file as the loader compiled it."""
        return definition_place(self.handler)

    @cached_property
    def args(self) -> Validator | None:
        """Validator of the args object; None for an HTTP action, which takes a request instead."""
        from .signatures import args_validator  # it imports this module

        return None if self.kind is Kind.HTTP_ACTION else args_validator(self.handler, self._args_spec)

    @cached_property
    def returns(self) -> Validator | None:
        """Validator of the result; None when nothing is promised."""
        from .signatures import returns_validator  # it imports this module

        return None if self.kind is Kind.HTTP_ACTION else returns_validator(self.handler, self._returns_spec)

    def resolve(self) -> None:
        """Compute both validators now, so that a mistake in an annotation shows at load."""
        _ = self.args, self.returns


class AsyncFunction(RegisteredFunction[P, T]):
    """A registered `async def`: calling it gives a coroutine."""

    def __call__(self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return self.handler(ctx, *args, **kwargs)


class PlainFunction(RegisteredFunction[P, T]):
    """A registered `def`: calling it gives the result. `ctx.run_*` awaits it like any other."""

    def __call__(self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.handler(ctx, *args, **kwargs)


def register(
    kind: Kind,
    visibility: Visibility,
    handler: object,
    *,
    args: Fields | None = None,
    returns: Fields | None = None,
) -> RegisteredFunction[..., Any]:
    """Turn `handler` into a registered function.

    Raises:
        RegistrationError: `handler` is no function, or is registered already.
    """
    if isinstance(handler, RegisteredFunction):
        known = cast("RegisteredFunction[..., Any]", handler)
        raise RegistrationError(
            "AlreadyRegistered",
            f"`{known.name}` is already {kind_phrase(known.kind)}, so it cannot become {kind_phrase(kind)} too",
            hint="move what both need into a plain function, and call it from two registered ones",
            place=known.place,
        )
    if not isinstance(handler, FunctionType):
        raise RegistrationError(
            "NotAFunction",
            f"`@{kind}` decorates a function, not {described(handler)}",
            hint=f"write `@{kind}` above `async def name(ctx, ...)`",
        )
    is_async = iscoroutinefunction(unwrap(handler))
    shape: type[RegisteredFunction[..., Any]] = AsyncFunction[..., Any] if is_async else PlainFunction[..., Any]
    return shape(kind, visibility, handler, args=args, returns=returns)


def kind_phrase(kind: Kind) -> str:
    """The kind in a sentence: "a query", "an HTTP action"."""
    noun = "HTTP action" if kind is Kind.HTTP_ACTION else kind.value
    return f"{'an' if noun.lower()[0] in 'ah' else 'a'} {noun}"


def described(thing: object) -> str:
    """What was given instead of a function, in a sentence."""
    if thing is None:
        return "`None`"
    if isinstance(thing, type):
        return f"the class `{thing.__name__}`"
    return f"`{thing!r:.60}` ({type(thing).__name__})"


class Function(Struct, frozen=True):
    """A registered function under its path (`messages:send_one`) in one version of the user's app.

    `place` is relative to the project.
    """

    path: str
    kind: Kind
    visibility: Visibility
    args: Validator | None
    returns: Validator | None
    handler: Callable[..., Any]
    place: Place

    @property
    def is_public(self) -> bool:
        return self.visibility is Visibility.PUBLIC
