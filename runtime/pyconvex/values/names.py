"""Which names are legal: keys of objects, fields of documents, tables and indexes."""

import re
from typing import Final

NAME_LENGTH_MAX: Final = 64
KEY_LENGTH_MAX: Final = 1024
SYSTEM_FIELDS: Final = frozenset({"_id", "_creationTime"})

_IDENTIFIER = re.compile(r"(?=_*[A-Za-z0-9])[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


class LegalKeys(set[str]):
    """Keys that were found legal before, so that the hot paths look at a key once and not at every document."""

    SIZE_MAX: Final = 4096

    def check(self, key: object) -> str | None:
        """Why `key` cannot be the key of an object, or None when it can."""
        problem = key_problem(key)
        if problem is None and isinstance(key, str) and len(key) <= NAME_LENGTH_MAX and len(self) < self.SIZE_MAX:
            self.add(key)
        return problem


legal_keys: Final = LegalKeys()


def is_identifier(name: str) -> bool:
    """Whether `name` may name a table, an index, a function or a field of a document (`_id` is one too)."""
    return _IDENTIFIER.fullmatch(name) is not None


def key_problem(key: object) -> str | None:
    """Why `key` cannot be the key of an object at any depth, or None when it can."""
    if not isinstance(key, str):
        return f"Object keys must be strings, not {type(key).__name__}: {key!r}"
    if len(key) > KEY_LENGTH_MAX:
        return f"Field name {key[:40]!r}… has {len(key)} characters, more than the maximum of {KEY_LENGTH_MAX}"
    if key.startswith("$"):
        return f"Field name {key!r} starts with '$', which is reserved"
    if not key.isascii() or not key.isprintable():
        return f"Field name {key!r} has a character that is not printable ASCII; keys are made of those only"
    return None


def field_problem(name: str) -> str | None:
    """Why `name` cannot be a top-level field of a document, or None when it can."""
    if name.startswith("_") and name not in SYSTEM_FIELDS:
        return f"Field '{name}' starts with an underscore, which is only allowed for system fields like '_id'"
    if not is_identifier(name):
        return (
            f"Field name {name!r} is not an identifier: letters, digits and underscores, "
            f"not starting with a digit, at most {NAME_LENGTH_MAX} characters"
        )
    return None
