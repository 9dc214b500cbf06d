"""`ctx.db` (https://docs.convex.dev/database/reading-data, https://docs.convex.dev/database/writing-data).

Calls act at once. Their errors are raised where the answer is awaited, with the texts of Convex.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pyconvex.engine.absent import Explains
from pyconvex.engine.query import QueryInitializer
from pyconvex.errors import DeveloperError
from pyconvex.store.catalog import FIRST_USER_TABLE, PUBLIC_SYSTEM_TABLES
from pyconvex.values.ids import DocumentId, InvalidId, decode_id, encode_id
from pyconvex.values.value import Undefined, Value, convert, undefined

if TYPE_CHECKING:
    from pyconvex.engine.answers import Answer
    from pyconvex.engine.transactions import Run
    from pyconvex.store.transaction import Transaction

_ABSENT: Final = object()
_WRITES: Final = ("insert", "patch", "replace", "delete")
HIDDEN_FIELDS: Final = ("fileId",)
"""Fields of system tables that are pyconvex's own affair."""


class DatabaseReader(Explains):
    """`ctx.db` of a query."""

    __slots__ = ("_run",)
    _absent: ClassVar = {
        name: f"Queries cannot write, so their `ctx.db` has no `{name}`: make this a mutation." for name in _WRITES
    }

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def system(self) -> SystemReader:
        """Reads `_storage` and `_scheduled_functions`."""
        return SystemReader(self._run)

    def get(self, table_or_id: str, id: Any = _ABSENT, /) -> Answer[dict[str, Value] | None]:
        """The document, or None: `get(id)` or `get(table, id)`."""
        return self._run.read("ctx.db.get", _get(self._run.transaction, table_or_id, id))

    def query(self, table: str, /) -> QueryInitializer:
        """A query over `table`; it reads when one of its ends (`collect`, `take`, …) is called."""
        _check_table_argument(table, "db.query")
        if table.startswith("_"):
            raise _only_with_system()
        return QueryInitializer(self._run, table)

    def normalize_id(self, table: str, id: str, /) -> str | None:
        """`id` when it is the id of a document of `table` (which need not exist), else None."""
        if table.startswith("_"):
            raise _only_with_system()
        return _normalize(self._run.transaction, table, id, "db.normalize_id")


class DatabaseWriter(DatabaseReader):
    """`ctx.db` of a mutation. The table's name may come first everywhere: `patch("users", id, {...})`."""

    __slots__ = ()

    def insert(self, table: str, value: Mapping[str, Any], /) -> Answer[str]:
        """Stores a new document; its id."""
        return self._run.write("ctx.db.insert", _insert(self._run.transaction, table, value))

    def patch(self, *table_id_value: Any) -> Answer[None]:
        """Sets the given fields, top level only; `undefined` removes one."""
        return self._run.write("ctx.db.patch", _patch(self._run.transaction, table_id_value))

    def replace(self, *table_id_value: Any) -> Answer[None]:
        """Replaces all fields but `_id` and `_creationTime`."""
        return self._run.write("ctx.db.replace", _replace(self._run.transaction, table_id_value))

    def delete(self, table_or_id: str, id: Any = _ABSENT, /) -> Answer[None]:
        return self._run.write("ctx.db.delete", _delete(self._run.transaction, table_or_id, id))


class SystemReader(Explains):
    """`ctx.db.system`."""

    __slots__ = ("_run",)
    _absent: ClassVar = {name: f"System tables are read-only, so `ctx.db.system` has no `{name}`." for name in _WRITES}

    def __init__(self, run: Run) -> None:
        self._run = run

    def get(self, table_or_id: str, id: Any = _ABSENT, /) -> Answer[dict[str, Value] | None]:
        """The document of a system table, or None: `get(id)` or `get(table, id)`."""
        return self._run.read("ctx.db.system.get", _get_system(self._run.transaction, table_or_id, id))

    def query(self, table: str, /) -> QueryInitializer:
        _check_table_argument(table, "db.system.query")
        if not table.startswith("_"):
            raise DeveloperError("NotASystemTable", "User tables can only be accessed from db.query().")
        return QueryInitializer(self._run, table, hidden=HIDDEN_FIELDS)

    def normalize_id(self, table: str, id: str, /) -> str | None:
        if not table.startswith("_"):
            raise DeveloperError("NotASystemTable", "User tables cannot be accessed with db.system.")
        return _normalize(self._run.transaction, table, id, "db.system.normalize_id")


async def _get(transaction: Transaction, table_or_id: object, id: object) -> dict[str, Value] | None:
    document = _document_id(transaction, table_or_id, id, "db.get")
    if document.table < FIRST_USER_TABLE:
        if transaction.table_name(document.table) in PUBLIC_SYSTEM_TABLES:
            raise _only_with_system()
        return None
    return await transaction.get(document)


async def _get_system(transaction: Transaction, table_or_id: object, id: object) -> dict[str, Value] | None:
    document = _document_id(transaction, table_or_id, id, "db.system.get")
    if document.table >= FIRST_USER_TABLE:
        raise DeveloperError("NotASystemTable", "User tables cannot be accessed with db.system.")
    if transaction.table_name(document.table) not in PUBLIC_SYSTEM_TABLES:
        return None
    found = await transaction.get(document)
    return None if found is None else visible_part(found)


async def _insert(transaction: Transaction, table: str, value: object) -> str:
    _check_table_argument(table, "db.insert")
    if table.startswith("_"):
        raise _read_only()
    return await transaction.insert(table, _fields(value, "db.insert"))


async def _patch(transaction: Transaction, given: tuple[Any, ...]) -> None:
    table_or_id, given_id, value = _with_value(given, "db.patch")
    document = _writable_id(transaction, table_or_id, given_id, "db.patch")
    if not isinstance(value, Mapping):
        raise _not_an_object("db.patch")
    fields: dict[str, Value | Undefined] = {
        name: undefined if field is undefined else convert(field)
        for name, field in cast("Mapping[str, object]", value).items()
    }
    await transaction.patch(document, fields)


async def _replace(transaction: Transaction, given: tuple[Any, ...]) -> None:
    table_or_id, given_id, value = _with_value(given, "db.replace")
    document = _writable_id(transaction, table_or_id, given_id, "db.replace")
    await transaction.replace(document, _fields(value, "db.replace"))


async def _delete(transaction: Transaction, table_or_id: object, id: object) -> None:
    await transaction.delete(_writable_id(transaction, table_or_id, id, "db.delete"))


def visible_part(document: dict[str, Value]) -> dict[str, Value]:
    """A document of a system table without what is pyconvex's own affair."""
    for name in HIDDEN_FIELDS:
        document.pop(name, None)
    return document


def _document_id(transaction: Transaction, table_or_id: object, id: object, method: str) -> DocumentId:
    """The id that a method was given, with or without the table before it."""
    if id is _ABSENT:
        return read_id(table_or_id, "id", method)
    document = read_id(id, "id", method)
    actual = transaction.table_name(document.table)
    if actual != table_or_id:
        raise DeveloperError(
            "WrongTable",
            f"Invalid argument `id` for `{method}`: expected to be an Id<{_quoted(table_or_id)}>, "
            f"got Id<{_quoted(actual)}> instead.",
        )
    return document


def _writable_id(transaction: Transaction, table_or_id: object, id: object, method: str) -> DocumentId:
    document = _document_id(transaction, table_or_id, id, method)
    if document.table < FIRST_USER_TABLE:
        raise _read_only()
    return document


def read_id(id: object, argument: str, method: str) -> DocumentId:
    """Raises `DeveloperError` `InvalidArgument` for what is no text, `InvalidId` for a text that is no id."""
    if not isinstance(id, str):
        raise DeveloperError(
            "InvalidArgument",
            f"Invalid argument `{argument}` for `{method}`, expected string but got '{type(id).__name__}': {id!r:.80}",
        )
    return decode_id(id)


def _normalize(transaction: Transaction, table: str, id: object, method: str) -> str | None:
    if not isinstance(id, str):
        read_id(id, "id", method)
        return None
    try:
        document = decode_id(id)
    except InvalidId:
        return None
    return encode_id(document) if transaction.table_name(document.table) == table else None


def _with_value(given: tuple[Any, ...], method: str) -> tuple[object, object, object]:
    """`(id, value)` or `(table, id, value)`, the absent table filled in."""
    if len(given) == 3:
        return given
    if len(given) == 2:
        return given[0], _ABSENT, given[1]
    if len(given) > 3:
        raise TypeError(f"{method}() takes an id and a value, or a table, an id and a value; {len(given)} were given")
    raise TypeError(
        f"Must provide arg {len(given) + 1} `{'value' if given else 'id'}` to `{method.removeprefix('db.')}`"
    )


def _fields(value: object, method: str) -> dict[str, Value]:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise _not_an_object(method)
    return convert(value)  # type: ignore[return-value]  # a mapping converts to a dict


def _check_table_argument(table: object, method: str) -> None:
    if not isinstance(table, str):
        raise DeveloperError(
            "InvalidArgument",
            f"Invalid argument `table` for `{method}`, expected string but got '{type(table).__name__}': {table!r:.80}",
        )


def _read_only() -> DeveloperError:
    return DeveloperError("SystemTableReadOnly", "System tables (prefixed with `_`) are read-only.")


def _only_with_system() -> DeveloperError:
    return DeveloperError("SystemTable", "System tables can only be accessed with db.system.")


def _not_an_object(method: str) -> DeveloperError:
    return DeveloperError("InvalidArgument", f"Invalid argument `value` for `{method}`: Value must be an Object")


def _quoted(table: object) -> str:
    return f'"{table}"' if table is not None else "unknown"
