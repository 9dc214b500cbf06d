"""Validators made from their JSON, as function specs and schemas have it: https://docs.convex.dev/functions/validation

The inverse of `Validator.json`: what comes out accepts the same values and says the same about others.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard, cast

from .containers import Array, Object, Record, Union
from .kinds import InvalidValue
from .scalars import AnyValue, BigInt, Boolean, Bytes, Id, Literal, Null, Number, String
from .validator import Validator, optional
from .wire import decode_object

Json: TypeAlias = Mapping[str, object]


class BadValidatorJson(ValueError):
    """JSON that describes no validator. The message says what is wrong and shows the part."""


def validator_of(json: object) -> Validator:
    """The validator that `json`, which was parsed already, describes.

    Raises:
        BadValidatorJson: it describes none.
    """
    if not _is_object(json):
        raise BadValidatorJson(f"a validator is an object, not {json!r}")
    make = _KINDS.get(cast(str, json.get("type")))
    if make is None:
        raise BadValidatorJson(f"there is no validator of type {json.get('type')!r}: {json!r}")
    try:
        return make(json)
    except KeyError as missing:
        raise BadValidatorJson(f"a validator of type {json['type']!r} needs {missing}: {json!r}") from None
    except BadValidatorJson:
        raise
    except (TypeError, ValueError, InvalidValue) as error:
        raise BadValidatorJson(f"{error}: {json!r}") from None


def _field_of(json: object) -> Validator:
    if not _is_object(json):
        raise BadValidatorJson(f"the field of an object is an object, not {json!r}")
    validator = validator_of(json["fieldType"])
    return optional(validator) if json["optional"] else validator


def _object_of(json: Json) -> Object:
    fields = json["value"]
    if not _is_object(fields):
        raise BadValidatorJson(f"the fields of an object are an object, not {fields!r}")
    return Object({name: _field_of(field) for name, field in fields.items()})


def _union_of(json: Json) -> Union:
    members = json["value"]
    if not isinstance(members, list):
        raise BadValidatorJson(f"the members of a union are a list, not {members!r}")
    return Union(*map(validator_of, cast("list[object]", members)))


_KINDS: Final[Mapping[str, Callable[[Json], Validator]]] = {
    "any": lambda _: AnyValue(),
    "null": lambda _: Null(),
    "boolean": lambda _: Boolean(),
    "number": lambda _: Number(),
    "bigint": lambda _: BigInt(),
    "string": lambda _: String(),
    "bytes": lambda _: Bytes(),
    "id": lambda json: Id(cast(str, json["tableName"])),
    "literal": lambda json: Literal(cast("str | float | bool", decode_object(json["value"]))),
    "array": lambda json: Array(validator_of(json["value"])),
    "object": _object_of,
    "record": lambda json: Record(validator_of(json["keys"]), _field_of(json["values"])),
    "union": _union_of,
}


def _is_object(json: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(json, dict)
