"""Schemas as documents of the database, so that every process on it knows which one is in force, or on its way.

A schema on its way is `pending`: every mutation, of every process, holds what it writes against it too. One that writes
what does not match is not hindered, but marks the schema `failed` in its own transaction.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, cast

from msgspec import Struct

from pyconvex.errors import DeveloperError, Remedy, UnfitDocument
from pyconvex.schema import Schema
from pyconvex.schema_json import schema_of
from pyconvex.values.ids import DocumentId, decode_id
from pyconvex.values.value import Value

_VIOLATION: Final = ("id", "table", "path", "reason")


class SchemaState(StrEnum):
    PENDING = "pending"
    FAILED = "failed"
    """It was pending when something was written that it does not allow."""
    ACTIVE = "active"


class SchemaRow(Struct, frozen=True):
    """A schema as the database has it.

    `node` is the process that puts it into force and `push` the random name of its attempt; `building` are the numbers
    of the indexes that it fills meanwhile.
    """

    id: DocumentId
    digest: str
    text: str
    state: SchemaState
    push: str
    node: int
    building: frozenset[int]
    violation: UnfitDocument | None = None
    """What made it fail."""

    @classmethod
    def of(cls, document: Mapping[str, Value]) -> "SchemaRow":
        """The row that a document of the catalog describes. Early versions wrote down the active schema alone."""
        violation = cast("Mapping[str, str] | None", document.get("violation"))
        return cls(
            decode_id(cast(str, document["_id"])),
            cast(str, document["digest"]),
            cast(str, document["schema"]),
            SchemaState(cast(str, document.get("state", SchemaState.ACTIVE))),
            cast(str, document.get("push", "")),
            cast(int, document.get("node", 0)),
            frozenset(cast("list[int]", document.get("building", ()))),
            UnfitDocument(*(violation[field] for field in _VIOLATION)) if violation else None,
        )

    def schema(self) -> Schema:
        return schema_of(json.loads(self.text))


def pending_document(schema: Schema, *, push: str, node: int) -> dict[str, Value]:
    """What the catalog keeps of a schema on its way, but for the indexes that it fills."""
    return {
        "digest": digest_of(schema),
        "schema": json.dumps(schema.json(), separators=(",", ":")),
        "state": SchemaState.PENDING.value,
        "push": push,
        "node": node,
    }


def failure(violation: UnfitDocument) -> dict[str, Value]:
    """The changed fields of a pending schema that somebody wrote `violation` against."""
    fields: dict[str, Value] = {**violation._asdict()}
    return {"state": SchemaState.FAILED.value, "violation": fields}


def digest_of(schema: Schema) -> str:
    """Equal for schemas that say the same."""
    text = json.dumps(schema.json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class SchemaRefused(DeveloperError):
    """A schema that cannot be put into force; `violations` are documents that are in its way."""

    violations: tuple[UnfitDocument, ...] = ()


class SchemaViolation(SchemaRefused):
    """A schema that stored documents do not match; up to ten of them are in `violations`."""

    def __init__(self, message: str, violations: tuple[UnfitDocument, ...]) -> None:
        super().__init__(
            "SchemaViolation",
            message,
            hint="make the schema accept these documents, or change them first",
            remedy=Remedy.CHANGE_DATA,
        )
        self.violations = violations

    @classmethod
    def stored(cls, violations: tuple[UnfitDocument, ...]) -> "SchemaViolation":
        """Of documents that were there when the schema came."""
        first = violations[0]
        text = f'Document with ID "{first.id}" in table "{first.table}" does not match the schema: {first.reason}'
        return cls(text, violations)

    @classmethod
    def written(cls, violation: UnfitDocument) -> "SchemaViolation":
        """Of a document that was written while the schema was on its way."""
        text = f'New document in table "{violation.table}" does not match the schema: {violation.reason}'
        return cls(text, (violation,))


class SchemaRace(SchemaRefused):
    """Another push came while this one was on its way: the later one counts."""

    def __init__(self) -> None:
        super().__init__(
            "RaceDetected",
            "Another push to this deployment began while this one was on its way, and took its place.",
            hint="do several `pyconvex dev` processes share this deployment? Run one of them, or give each a database",
            remedy=Remedy.SAVE_FILE,
        )
