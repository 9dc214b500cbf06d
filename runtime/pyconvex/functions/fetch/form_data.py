"""`FormData` (https://xhr.spec.whatwg.org/#interface-formdata) and the two encodings of forms."""

import secrets
from collections.abc import Iterator
from typing import TypeAlias

from .blob import Blob, File
from .url import URLSearchParams, well_formed

FormValue: TypeAlias = "str | File"


class FormData:
    """The fields of a form, in order: text, or files.

    Raises (`append`, `set`):
        TypeError: a value that is neither text nor a blob, or a file name for text.
    """

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: list[tuple[str, FormValue]] = []

    def append(self, name: str, value: str | Blob, filename: str | None = None) -> None:
        self._fields.append((name, _field(value, filename)))

    def set(self, name: str, value: str | Blob, filename: str | None = None) -> None:
        """Make `value` the only one of `name`, in the place of the first."""
        field = (name, _field(value, filename))
        at = next((index for index, (key, _) in enumerate(self._fields) if key == name), len(self._fields))
        after = [other for other in self._fields[at:] if other[0] != name]
        self._fields = [*self._fields[:at], field, *after]

    def get(self, name: str) -> FormValue | None:
        return next((value for key, value in self._fields if key == name), None)

    def get_all(self, name: str) -> list[FormValue]:
        return [value for key, value in self._fields if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self._fields)

    def delete(self, name: str) -> None:
        self._fields = [field for field in self._fields if field[0] != name]

    def items(self) -> list[tuple[str, FormValue]]:
        return list(self._fields)

    def keys(self) -> list[str]:
        return [name for name, _ in self._fields]

    def values(self) -> list[FormValue]:
        return [value for _, value in self._fields]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._fields)

    def __repr__(self) -> str:
        return f"FormData({self._fields!r})"

    def encoded(self) -> tuple[bytes, str]:
        """The form as `multipart/form-data`, and its content type with the boundary."""
        raise NotImplementedError


def _field(value: str | Blob, filename: str | None) -> FormValue:
    if isinstance(value, str):
        if filename is not None:
            raise TypeError("A file name goes with a Blob or File, not with text")
        return value
    raise NotImplementedError


def read_form_data(data: bytes, content_type: str | None) -> FormData:
    raise NotImplementedError
