"""The args of a function with `**kwargs`: known fields, and further ones."""

from collections.abc import Mapping
from typing import Any, final

from pyconvex.values.mismatch import Mismatch, extra_field, field_step, no_match
from pyconvex.values.validators import Object, TableNames, Validator


@final
class OpenObject(Validator):
    """An object with these fields and any others, all of which match `further`. Convex itself knows it as `v.any()`.

    Args:
        ctx: the name that no field may have, because the handler's context takes it.
    """

    kind = "any"

    def __init__(self, fields: Mapping[str, Validator], further: Validator, ctx: str) -> None:
        self.known = Object(fields)
        self.further = further
        self._ctx = ctx
        self.check = self._check

    def _check(self, value: Any, tables: TableNames) -> Any:
        given: dict[str, Any] = value
        if type(given) is not dict:
            raise no_match(value, self.known.text())
        if self._ctx in given:
            raise extra_field(self._ctx, given, self.known.text())
        fields = self.known.fields
        checked = self.known.check({name: item for name, item in given.items() if name in fields}, tables)
        others = {name: self._other(name, item, tables) for name, item in given.items() if name not in fields}
        return {**checked, **others}

    def _other(self, name: str, item: Any, tables: TableNames) -> Any:
        try:
            return self.further.check(item, tables)
        except Mismatch as mismatch:
            raise mismatch.inside(field_step(name)) from None

    def json(self) -> dict[str, object]:
        return {"type": "any"}

    def text(self) -> str:
        return "v.any()"

    def parts(self) -> tuple[Validator, ...]:
        return (*self.known.parts(), self.further)

    def _identity(self) -> object:
        return self.known, self.further, self._ctx
