"""`FormData` (https://xhr.spec.whatwg.org/#interface-formdata) and the two encodings of forms."""

import os
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from .blob import Blob, File
from .url import URLSearchParams, well_formed

FormValue: TypeAlias = str | File

PARTS_MAX = 10_000
"""Fields of one multipart form; reading more would hold up other requests."""
_BOUNDARY_BYTES = 16
_random_bytes: Callable[[int], bytes] = os.urandom


def take_chance_from(random_bytes: Callable[[int], bytes]) -> None:
    """Let `random_bytes` make the boundaries of forms: in queries and mutations chance is the call's own."""
    global _random_bytes
    _random_bytes = random_bytes


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

    def encoded(self) -> tuple[Blob, str]:
        """The form as `multipart/form-data`, and its content type with the boundary (RFC 7578)."""
        boundary = f"----pyconvex{_random_bytes(_BOUNDARY_BYTES).hex()}"
        parts: list[str | Blob] = []
        for name, value in self._fields:
            parts += [f"--{boundary}\r\n", *_encoded_field(name, value), "\r\n"]
        return Blob([*parts, f"--{boundary}--\r\n"]), f"multipart/form-data; boundary={boundary}"


def read_form_data(data: bytes, content_type: str | None) -> FormData:
    """The fields of a form that was sent.

    Raises:
        TypeError: another or no content type, or a malformed form.
    """
    if content_type is None:
        raise TypeError("Missing content type")
    kind, options = _parameters(content_type)
    if kind == b"application/x-www-form-urlencoded":
        form = FormData()
        for name, value in URLSearchParams(data.decode("utf-8", "replace").removeprefix("\ufeff")).items():
            form.append(name, value)
        return form
    if kind == b"multipart/form-data":
        if not options.get(b"boundary"):
            raise TypeError("Missing boundary parameter in mime type of multipart formdata.")
        return _read_multipart(data, options[b"boundary"])
    raise TypeError("Invalid content type" if b"/" not in kind else "Body cannot be decoded as form data")


def _read_multipart(data: bytes, boundary: bytes) -> FormData:
    """Split at the boundaries. python-multipart's own parser refuses preambles and spaces behind a boundary."""
    line = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    form = FormData()
    opened: int | None = None
    at = 0
    while found := line.search(data, at):
        if opened is not None:
            _read_part(form, data[opened : found.start()])
        if found[1]:
            return form
        if len(form) == PARTS_MAX:
            raise TypeError(f"A form of more than {PARTS_MAX} fields is not read")
        opened = found.end()
        at = found.end() - 2  # its line break may begin the next boundary: an empty part
    raise TypeError("Malformed multipart form data: the closing boundary is missing")


def _read_part(form: FormData, part: bytes) -> None:
    head, separator, content = part.partition(b"\r\n\r\n")
    headers = dict(_part_header(line) for line in head.split(b"\r\n"))
    kind, options = _parameters(headers.get("content-disposition"))
    if not separator or kind != b"form-data" or b"name" not in options:
        raise TypeError("Malformed multipart form data: a part has no content-disposition with a name")
    name = _unescaped(options[b"name"])
    if b"filename" not in options:
        form.append(name, content.decode("utf-8", "replace").removeprefix("\ufeff"))
        return
    media_type = headers.get("content-type", "application/octet-stream")
    form.append(name, File([content], _unescaped(options[b"filename"]), type=media_type))


def _parameters(header: str | None) -> tuple[bytes, dict[bytes, bytes]]:
    """A header such as `form-data; name="x"`: its value in lower case, and its parameters."""
    from python_multipart.multipart import parse_options_header  # 5 ms that few processes need

    return parse_options_header(header)


def _part_header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")  # as `_parameters` has it; names become UTF-8 after it
    return name.strip(" \t").lower(), value.strip(" \t")


def _field(value: object, filename: str | None) -> FormValue:
    if isinstance(value, Blob):
        if isinstance(value, File) and filename is None:
            return value
        return File([value], "blob" if filename is None else filename, type=value.type)
    if filename is not None:
        raise TypeError("A file name goes with a Blob or File, not with text")
    if isinstance(value, str):
        return value
    raise TypeError(f"A field of a form is a str, a Blob or a File, not {type(value).__name__}")


def _encoded_field(name: str, value: FormValue) -> list[str | Blob]:
    disposition = f'Content-Disposition: form-data; name="{_escaped(_lines(name))}"'
    if isinstance(value, str):
        return [f"{disposition}\r\n\r\n", well_formed(_lines(value))]
    media_type = value.type or "application/octet-stream"
    return [f'{disposition}; filename="{_escaped(value.name)}"\r\nContent-Type: {media_type}\r\n\r\n', value]


def _lines(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def _escaped(text: str) -> str:
    return well_formed(text).replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _unescaped(text: bytes) -> str:
    plain = text.decode("utf-8", "replace")
    return plain.replace("%0D", "\r").replace("%0A", "\n").replace("%22", '"')
