"""Validators of arrays, objects and records, and unions of validators."""

from collections.abc import Mapping
from typing import Final, final

from .display import display_in_error
from .kinds import Value
from .mismatch import Mismatch, extra_field, field_step, missing_field, no_match, reserved_key
from .names import is_identifier, key_problem
from .scalars import Id, Literal, String
from .validator import Check, TableNames, Validator, named, optional, require_validator


class _Missing:
    """The type of what an object gives for a field that it lacks; no validator accepts it."""


_MISSING: Final = _Missing()


@final
class Array(Validator):
    """A list whose elements all match `element`."""

    kind = "array"

    def __init__(self, element: Validator) -> None:
        require_validator(element, "v.array() needs a validator for its elements")
        if element.optional:
            raise TypeError("Array validator cannot have optional elements")
        self.element = element
        self.check = self._checker(element.plain, element.check)

    def _checker(self, plain: frozenset[type], check_element: Check) -> Check:
        def check(value: Value, tables: TableNames) -> Value:
            if type(value) is not list:
                raise no_match(value, self.text())
            result = value
            for position, item in enumerate(value):
                if type(item) in plain:
                    continue
                try:
                    checked = check_element(item, tables)
                except Mismatch as mismatch:
                    raise mismatch.inside(f"[{position}]") from None
                if checked is not item:
                    if result is value:
                        result = value.copy()
                    result[position] = checked
            return result

        return check

    def json(self) -> dict[str, object]:
        return {"type": "array", "value": self.element.json()}

    def text(self) -> str:
        return f"v.array({self.element})"

    def parts(self) -> tuple[Validator, ...]:
        return (self.element,)

    def _identity(self) -> object:
        return self.element


@final
class Object(Validator):
    """An object with exactly these fields, of which the optional ones may be missing."""

    kind = "object"

    def __init__(self, fields: Mapping[str, Validator]) -> None:
        if not isinstance(fields, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            raise TypeError(f"v.object() needs a mapping from field names to validators, not {named(fields)}")
        for name, field in fields.items():
            if problem := key_problem(name):
                raise ValueError(problem)
            require_validator(field, f"v.object() entries must be validators: field `{name}`")
        self.fields: Mapping[str, Validator] = dict(fields)
        self.check = self._checker()

    def _checker(self) -> Check:
        rows = [(name, field.plain, field.check, field.optional) for name, field in self.fields.items()]

        def check(value: Value, tables: TableNames) -> Value:
            if type(value) is not dict:
                raise no_match(value, self.text())
            result = value
            expected = 0
            for name, plain, check_field, may_miss in rows:
                item = value.get(name, _MISSING)
                if type(item) in plain:
                    expected += 1
                    continue
                if item is _MISSING:
                    if may_miss:
                        continue
                    raise missing_field(name, value, self.text())
                try:
                    checked = check_field(item, tables)
                except Mismatch as mismatch:
                    raise mismatch.inside(field_step(name)) from None
                expected += 1
                if checked is not item:
                    if result is value:
                        result = value.copy()
                    result[name] = checked
            if expected != len(value):
                raise extra_field(next(name for name in value if name not in self.fields), value, self.text())
            return result

        return check

    def extend(self, fields: Mapping[str, Validator]) -> "Object":
        """With `fields` added; a field of the same name is replaced."""
        return self._with({**self.fields, **fields})

    def pick(self, *names: str) -> "Object":
        """With these fields only."""
        self._require(names)
        return self._with({name: field for name, field in self.fields.items() if name in names})

    def omit(self, *names: str) -> "Object":
        """Without these fields."""
        self._require(names)
        return self._with({name: field for name, field in self.fields.items() if name not in names})

    def partial(self) -> "Object":
        """With every field optional."""
        return self._with({name: optional(field) for name, field in self.fields.items()})

    def _with(self, fields: Mapping[str, Validator]) -> "Object":
        changed = Object(fields)
        changed.optional = self.optional
        return changed

    def _require(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self.fields:
                raise ValueError(f"there is no field `{name}` among {', '.join(f'`{field}`' for field in self.fields)}")

    def json(self) -> dict[str, object]:
        return {"type": "object", "value": {name: _field_json(field) for name, field in self.fields.items()}}

    def text(self) -> str:
        fields = (f"{_key_text(name)}: {field}" for name, field in self.fields.items())
        return f"v.object({{{', '.join(fields)}}})"

    def parts(self) -> tuple[Validator, ...]:
        return tuple(self.fields.values())

    def _identity(self) -> object:
        return frozenset(self.fields.items())


@final
class Record(Validator):
    """An object with any keys that match `keys` (strings, ids, or unions of those) and values that match `values`."""

    kind = "record"

    def __init__(self, keys: Validator, values: Validator) -> None:
        require_validator(keys, "v.record() needs a validator for its keys")
        require_validator(values, "v.record() needs a validator for its values")
        if keys.optional:
            raise TypeError("Record validator cannot have optional keys")
        if values.optional:
            raise TypeError("Record validator cannot have optional values")
        _require_record_keys(keys, keys)
        self.keys = keys
        self.values = values
        self.check = self._checker()

    def _checker(self) -> Check:
        plain_key, check_key = self.keys.plain, self.keys.check
        plain_value, check_value = self.values.plain, self.values.check

        def check(value: Value, tables: TableNames) -> Value:
            if type(value) is not dict:
                raise no_match(value, self.text())
            result = value
            step = ".keys()"
            try:
                for name, item in value.items():
                    if type(name) not in plain_key or name[:1] == "_":
                        step = ".keys()"
                        check_key(name, tables)
                        if name[:1] == "_":
                            raise reserved_key(name, value, self.text())
                    if type(item) not in plain_value:
                        step = ".values()"
                        checked = check_value(item, tables)
                        if checked is not item:
                            if result is value:
                                result = value.copy()
                            result[name] = checked
            except Mismatch as mismatch:
                raise mismatch.inside(step) from None
            return result

        return check

    @property
    def key(self) -> Validator:
        """Convex's name for `keys`."""
        return self.keys

    @property
    def value(self) -> Validator:
        """Convex's name for `values`."""
        return self.values

    def json(self) -> dict[str, object]:
        return {"type": "record", "keys": self.keys.json(), "values": _field_json(self.values)}

    def text(self) -> str:
        return f"v.record({self.keys}, {self.values})"

    def parts(self) -> tuple[Validator, ...]:
        return self.keys, self.values

    def _identity(self) -> object:
        return self.keys, self.values


@final
class Union(Validator):
    """What any of `members` accepts, tried in their order."""

    kind = "union"

    def __init__(self, *members: Validator) -> None:
        for member in members:
            require_validator(member, "All members of v.union() must be validators")
            if member.optional:
                raise TypeError("Union validator cannot have optional members; write v.optional(v.union(...))")
        self.members = members
        self.plain = frozenset[type]().union(*(member.plain for member in members))
        self.check = members[0].check if len(members) == 1 else self._checker()

    def _checker(self) -> Check:
        plain = self.plain
        texts = frozenset(m.value for m in self.members if isinstance(m, Literal) and isinstance(m.value, str))
        checks = [member.check for member in self.members]

        def check(value: Value, tables: TableNames) -> Value:
            if type(value) in plain or (type(value) is str and value in texts):
                return value
            for check_member in checks:
                try:
                    return check_member(value, tables)
                except Mismatch:
                    continue
            raise no_match(value, self.text())

        return check

    def json(self) -> dict[str, object]:
        return {"type": "union", "value": [member.json() for member in self.members]}

    def text(self) -> str:
        return f"v.union({', '.join(map(str, self.members))})"

    def parts(self) -> tuple[Validator, ...]:
        return self.members

    def _identity(self) -> object:
        return self.members


def _field_json(field: Validator) -> dict[str, object]:
    return {"fieldType": field.json(), "optional": field.optional}


def _key_text(name: str) -> str:
    return name if is_identifier(name) else display_in_error(name)


def _require_record_keys(keys: Validator, whole: Validator) -> None:
    if isinstance(keys, Union):
        for member in keys.members:
            _require_record_keys(member, whole)
    elif isinstance(keys, Literal) and isinstance(keys.value, str):
        raise TypeError("Records cannot have string literal keys")
    elif not isinstance(keys, String | Id):
        raise TypeError(f"Records can only have string keys, not {whole}")
