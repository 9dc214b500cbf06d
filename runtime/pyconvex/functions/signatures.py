"""What a handler's parameters say about its arguments, and its return annotation about its result."""

from collections.abc import Callable, Mapping
from inspect import CO_VARARGS, CO_VARKEYWORDS, unwrap
from types import FunctionType
from typing import Any, cast

from msgspec import Struct

from pyconvex.errors import Place, PyconvexError, Remedy
from pyconvex.values import v
from pyconvex.values.validators import AnyValue, Object, Validator, optional

from .annotations import ALLOWED, Namespace, Unreadable, validator_of
from .function import Fields
from .open_object import OpenObject
from .positions import parameter_place

_RETURN = "return"


class AnnotationError(PyconvexError, TypeError):
    """A handler whose parameters or annotations make no validator; `place` is the parameter's."""

    def __init__(self, code: str, message: str, *, place: Place, hint: str) -> None:
        super().__init__(code, message, place=place, hint=hint, remedy=Remedy.SAVE_FILE)


class Parameter(Struct, frozen=True):
    """A parameter after `ctx`; `annotation` is `Any` when there is none."""

    name: str
    annotation: object
    is_optional: bool


class Signature(Struct, frozen=True):
    """A handler's parameters: the name of its `ctx`, those that take arguments, and `**further`."""

    ctx: str
    parameters: tuple[Parameter, ...]
    further: Parameter | None


def args_validator(handler: Callable[..., Any], given: Fields | None) -> Validator:
    """The validator of a handler's args object.

    Args:
        given: what `args=` said; otherwise the annotations say.

    Raises:
        AnnotationError: an annotation without a validator, a parameter that takes no keyword, or parameters that do
            not fit `given`.
    """
    signature = signature_of(handler)
    if given is not None:
        return _checked_against(handler, signature, given)
    names = Namespace(_function(handler))
    fields = {parameter.name: _field(handler, parameter, names) for parameter in signature.parameters}
    if signature.further is None:
        return Object(fields)
    return OpenObject(fields, _field(handler, signature.further, names), signature.ctx)


def returns_validator(handler: Callable[..., Any], given: Fields | None) -> Validator | None:
    """The validator of a handler's result; None when neither `given` nor the annotation promises anything.

    Raises:
        AnnotationError: an annotation without a validator.
    """
    if given is not None:
        return given if isinstance(given, Validator) else _object(handler, given, "returns")
    function = _function(handler)
    if _RETURN not in function.__annotations__:
        return None
    try:
        return validator_of(function.__annotations__[_RETURN], Namespace(function))
    except Unreadable as error:
        raise AnnotationError(
            "UnknownAnnotation",
            f"`{function.__name__}` is annotated to return {error}, which has no Convex validator",
            place=parameter_place(handler, None),
            hint=f"allowed are {ALLOWED}. Or give `returns=`, or leave the annotation out",
        ) from None


def signature_of(handler: Callable[..., Any]) -> Signature:
    """The parameters of a handler.

    Raises:
        AnnotationError: no `ctx`, or a parameter that cannot be given by keyword.
    """
    function = _function(handler)
    code = function.__code__
    positional = code.co_argcount
    names = code.co_varnames
    end = positional + code.co_kwonlyargcount
    if positional == 0:
        raise AnnotationError(
            "NoContext",
            f"`{function.__name__}` has no parameter for its context",
            place=parameter_place(handler, names[0] if names else None),
            hint=f"write `async def {function.__name__}(ctx, ...)`",
        )
    for name in [*names[1 : code.co_posonlyargcount], *names[end : end + bool(code.co_flags & CO_VARARGS)]]:
        raise AnnotationError(
            "PositionalParameter",
            f"parameter `{name}` of `{function.__name__}` cannot be given by keyword, as arguments are",
            place=parameter_place(handler, name),
            hint="arguments are keywords: drop the `/` or `*args`",
        )
    defaulted = {*names[positional - len(function.__defaults__ or ()) : positional], *(function.__kwdefaults__ or ())}
    annotations = function.__annotations__
    parameters = tuple(Parameter(name, annotations.get(name, Any), name in defaulted) for name in names[1:end])
    further = None
    if code.co_flags & CO_VARKEYWORDS:
        name = names[end]
        further = Parameter(name, annotations.get(name, Any), is_optional=False)
    return Signature(names[0], parameters, further)


def _function(handler: Callable[..., Any]) -> FunctionType:
    return cast("FunctionType", unwrap(handler))


def _field(handler: Callable[..., Any], parameter: Parameter, names: Namespace) -> Validator:
    try:
        field = validator_of(parameter.annotation, names)
    except Unreadable as error:
        raise AnnotationError(
            "UnknownAnnotation",
            f"parameter `{parameter.name}` of `{handler.__name__}` is annotated {error}, which has no Convex validator",
            place=parameter_place(handler, parameter.name),
            hint=f"allowed are {ALLOWED}. Or give validators: `args={{...}}`",
        ) from None
    return optional(field) if parameter.is_optional else field


def _checked_against(handler: Callable[..., Any], signature: Signature, given: Fields) -> Validator:
    validator = given if isinstance(given, Validator) else _object(handler, given, "args")
    if isinstance(validator, AnyValue):
        return validator
    if not isinstance(validator, Object):
        raise AnnotationError(
            "InvalidArgs",
            f"`args=` of `{handler.__name__}` is {validator}, but arguments are an object",
            place=parameter_place(handler, signature.ctx),
            hint="give fields, `args={'name': v.string()}`, or `v.object({...})`",
        )
    _check_names(handler, signature, validator)
    return validator


def _check_names(handler: Callable[..., Any], signature: Signature, validator: Object) -> None:
    taken = {parameter.name for parameter in signature.parameters}
    for parameter in signature.parameters:
        if parameter.name not in validator.fields and not parameter.is_optional:
            raise AnnotationError(
                "InvalidArgs",
                f"parameter `{parameter.name}` of `{handler.__name__}` is not in its `args=`, so it never gets a value",
                place=parameter_place(handler, parameter.name),
                hint="name it in `args=`, or give it a default",
            )
    for name in validator.fields:
        if name not in taken and (signature.further is None or name == signature.ctx):
            raise AnnotationError(
                "InvalidArgs",
                f"`args=` of `{handler.__name__}` has the field `{name}`, for which there is no parameter",
                place=parameter_place(handler, signature.ctx),
                hint=f"add the parameter: `async def {handler.__name__}({signature.ctx}, {name})`",
            )


def _object(handler: Callable[..., Any], fields: Mapping[str, Validator], which: str) -> Object:
    try:
        return v.object(fields)
    except (TypeError, ValueError) as error:
        raise AnnotationError(
            "InvalidArgs",
            f"`{which}=` of `{handler.__name__}`: {error}",
            place=parameter_place(handler, None),
            hint="give validators: `{'name': v.string()}`",
        ) from None
