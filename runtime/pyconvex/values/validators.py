from collections.abc import Callable, Mapping
from typing import TypeAlias
from ..errors import DeveloperError
from .kinds import Value
TableNames: TypeAlias = Callable[[int], str | None]
class ValidationFailed(DeveloperError):
    reason: str
class Validator:
    kind: str
    optional: bool
    def json(self) -> dict[str, object]: raise NotImplementedError
    def validate(self, value: Value, tables: TableNames) -> Value: raise NotImplementedError
class AnyValue(Validator): kind = "any"
class Null(Validator): kind = "null"
class Boolean(Validator): kind = "boolean"
class String(Validator): kind = "string"
class Bytes(Validator): kind = "bytes"
class BigInt(Validator): kind = "int64"
class Number(Validator):
    kind = "float64"
    def __init__(self, *, as_int: bool = False, as_float: bool = False) -> None: ...
class Id(Validator):
    kind = "id"
    table: str
    def __init__(self, table: str) -> None: ...
class Literal(Validator):
    kind = "literal"
    value: Value
    def __init__(self, value: object) -> None: ...
class Array(Validator):
    kind = "array"
    element: Validator
    def __init__(self, element: Validator) -> None: ...
class Object(Validator):
    kind = "object"
    fields: Mapping[str, Validator]
    def __init__(self, fields: Mapping[str, Validator]) -> None: ...
class Record(Validator):
    kind = "record"
    keys: Validator
    values: Validator
    def __init__(self, keys: Validator, values: Validator) -> None: ...
class Union(Validator):
    kind = "union"
    members: tuple[Validator, ...]
    def __init__(self, *members: Validator) -> None: ...
class Builders:
    string = String; number = Number; float64 = Number; int64 = BigInt; bigint = BigInt; boolean = Boolean; bytes = Bytes; null = Null; any = AnyValue
    id = Id; literal = Literal; array = Array; object = Object; record = Record; union = Union
v = Builders()
