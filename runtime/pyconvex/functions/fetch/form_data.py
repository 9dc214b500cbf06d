"""`FormData` (https://xhr.spec.whatwg.org/#interface-formdata), and how it is sent."""

import os
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from .blob import Blob, File
from .text import text_of

FormValue: TypeAlias = str | File

_BOUNDARY_BYTES = 16
_random_bytes: Callable[[int], bytes] = os.urandom


def take_chance_from(random_bytes: Callable[[int], bytes]) -> None:
    """Let `random_bytes` make the boundaries of forms: in queries and mutations chance is the call's own."""
    global _random_bytes
    _random_bytes = random_bytes


class FormData:
    """The fields of a form, in order: text (numbers become text), or files.

    Raises (`append`, `set`):
        TypeError: None, bytes or a collection as a value, or a file name for text.
    """

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: list[tuple[str, FormValue]] = []

    def append(self, name: str, value: object, filename: str | None = None) -> None:
        self._fields.append(_field(name, value, filename))

    def set(self, name: str, value: object, filename: str | None = None) -> None:
        """Make `value` the only one of `name`, in the place of the first."""
        field = _field(name, value, filename)
        at = next((index for index, (key, _) in enumerate(self._fields) if key == field[0]), len(self._fields))
        self._fields[at:] = [field, *(other for other in self._fields[at:] if other[0] != field[0])]

    def get(self, name: str, default: FormValue | None = None) -> FormValue | None:
        """The first value of `name`."""
        return next((value for key, value in self._fields if key == name), default)

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

    def __getitem__(self, name: str) -> FormValue:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __repr__(self) -> str:
        return f"FormData({self._fields!r})"

    def encoded(self) -> tuple[Blob, str]:
        """The form as `multipart/form-data`, and its content type with the boundary (RFC 7578)."""
        boundary = f"----pyconvex{_random_bytes(_BOUNDARY_BYTES).hex()}"
        parts: list[str | Blob] = []
        for name, value in self._fields:
            parts += [f"--{boundary}\r\n", *_encoded_field(name, value), "\r\n"]
        return Blob([*parts, f"--{boundary}--\r\n"]), f"multipart/form-data; boundary={boundary}"


def _field(name: str, value: object, filename: str | None) -> tuple[str, FormValue]:
    name = text_of(name, "The name of a field")
    if isinstance(value, Blob):
        return name, _file(value, filename)
    if filename is not None:
        raise TypeError("A file name goes with a Blob or File, not with text")
    return name, text_of(value, f"The value of the field {name!r:.60}")


def _file(blob: Blob, filename: str | None) -> File:
    if not isinstance(blob, File):
        return File([blob], "blob" if filename is None else filename, type=blob.type)
    if filename is None:
        return blob
    return File([blob], filename, type=blob.type, last_modified=blob.last_modified)


def _encoded_field(name: str, value: FormValue) -> list[str | Blob]:
    disposition = f'Content-Disposition: form-data; name="{_escaped(_lines(name))}"'
    if isinstance(value, str):
        return [f"{disposition}\r\n\r\n", _lines(value)]
    media_type = value.type or "application/octet-stream"
    return [f'{disposition}; filename="{_escaped(value.name)}"\r\nContent-Type: {media_type}\r\n\r\n', value]


def _lines(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def _escaped(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
