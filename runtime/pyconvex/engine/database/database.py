"""`ctx.db` (https://docs.convex.dev/database/reading-data, https://docs.convex.dev/database/writing-data).

Calls act at once. Their errors are raised where the answer is awaited, with the texts of Convex.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pyconvex.engine.database.absent import Explains
from pyconvex.engine.database.query import QueryInitializer
from pyconvex.errors import DeveloperError
from pyconvex.store.schema.catalog import FIRST_USER_TABLE, PUBLIC_SYSTEM_TABLES
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

    def table(self, name: str, /) -> TableReader:
        """The same methods for one table, so that it need not be named each time."""
        _check_user_table(name, "db.table")
        return TableReader(self._run, name)

    def get(self, table_or_id: Any = _ABSENT, id: Any = _ABSENT, /) -> Answer[dict[str, Value] | None]:
        """The document, or None: `get(id)` or `get(table, id)`."""
        return self._run.read("ctx.db.get", _get(self._run.transaction, table_or_id, id))

    def query(self, table: Any = _ABSENT, /) -> QueryInitializer:
        """A query over `table`; it reads when one of its ends (`collect`, `take`, …) is called."""
        if type(table) is not str or table[:1] == "_":
            _check_user_table(table, "db.query")
        return QueryInitializer(self._run, table)

    def normalize_id(self, table: Any = _ABSENT, id: Any = _ABSENT, /) -> str | None:
        """`id` when it is the id of a document of `table` (which need not exist), else None."""
        _check_user_table(table, "db.normalize_id")
        return _normalize(self._run.transaction, table, id, "db.normalize_id")


class DatabaseWriter(DatabaseReader):
    """`ctx.db` of a mutation. The table's name may come first everywhere: `patch("users", id, {...})`."""

    __slots__ = ()

    def table(self, name: str, /) -> TableWriter:
        _check_user_table(name, "db.table")
        return TableWriter(self._run, name)

    def insert(self, table: Any = _ABSENT, value: Any = _ABSENT, /) -> Answer[str]:
        """Stores a new document; its id."""
        return self._run.act("ctx.db.insert", _insert, table, value)

    def patch(self, *table_id_value: Any) -> Answer[None]:
        """Sets the given fields, top level only; `undefined` removes one."""
        return self._run.write("ctx.db.patch", _patch(self._run.transaction, table_id_value))

    def replace(self, *table_id_value: Any) -> Answer[None]:
        """Replaces all fields but `_id` and `_creationTime`."""
        return self._run.write("ctx.db.replace", _replace(self._run.transaction, table_id_value))

    def delete(self, table_or_id: Any = _ABSENT, id: Any = _ABSENT, /) -> Answer[None]:
        return self._run.write("ctx.db.delete", _delete(self._run.transaction, table_or_id, id))


class SystemReader(Explains):
    """`ctx.db.system`."""

    __slots__ = ("_run",)
    _absent: ClassVar = {name: f"System tables are read-only, so `ctx.db.system` has no `{name}`." for name in _WRITES}

    def __init__(self, run: Run) -> None:
        self._run = run

    def table(self, name: str, /) -> SystemTableReader:
        """The same methods for one table, so that it need not be named each time."""
        _check_system_table(name, "db.system.table")
        return SystemTableReader(self._run, name)

    def get(self, table_or_id: Any = _ABSENT, id: Any = _ABSENT, /) -> Answer[dict[str, Value] | None]:
        """The document of a system table, or None: `get(id)` or `get(table, id)`."""
        return self._run.read("ctx.db.system.get", _get_system(self._run.transaction, table_or_id, id))

    def query(self, table: Any = _ABSENT, /) -> QueryInitializer:
        _check_system_table(table, "db.system.query")
        return QueryInitializer(self._run, table, hidden=HIDDEN_FIELDS)

    def normalize_id(self, table: Any = _ABSENT, id: Any = _ABSENT, /) -> str | None:
        _check_table_argument(table, "db.system.normalize_id")
        if not table.startswith("_"):
            raise _not_with_system()
        return _normalize(self._run.transaction, table, id, "db.system.normalize_id")


class TableReader:
    """`ctx.db.table(name)` of a query."""

    __slots__ = ("_name", "_run")

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name

    def get(self, id: Any = _ABSENT, /) -> Answer[dict[str, Value] | None]:
        return self._run.read("ctx.db.table().get", _get(self._run.transaction, self._name, _required(id, "get")))

    def query(self) -> QueryInitializer:
        return QueryInitializer(self._run, self._name)

    def normalize_id(self, id: Any = _ABSENT, /) -> str | None:
        return _normalize(self._run.transaction, self._name, _required(id, "normalize_id"), "db.normalize_id")


class TableWriter(TableReader):
    """`ctx.db.table(name)` of a mutation."""

    __slots__ = ()

    def insert(self, value: Any = _ABSENT, /) -> Answer[str]:
        return self._run.act("ctx.db.table().insert", _insert, self._name, value)

    def patch(self, *id_value: Any) -> Answer[None]:
        given = _of_table(self._name, id_value, "patch")
        return self._run.write("ctx.db.table().patch", _patch(self._run.transaction, given))

    def replace(self, *id_value: Any) -> Answer[None]:
        given = _of_table(self._name, id_value, "replace")
        return self._run.write("ctx.db.table().replace", _replace(self._run.transaction, given))

    def delete(self, id: Any = _ABSENT, /) -> Answer[None]:
        return self._run.write(
            "ctx.db.table().delete", _delete(self._run.transaction, self._name, _required(id, "delete"))
        )


class SystemTableReader:
    """`ctx.db.system.table(name)`."""

    __slots__ = ("_name", "_run")

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name

    def get(self, id: Any = _ABSENT, /) -> Answer[dict[str, Value] | None]:
        return self._run.read(
            "ctx.db.system.table().get", _get_system(self._run.transaction, self._name, _required(id, "get"))
        )

    def query(self) -> QueryInitializer:
        return QueryInitializer(self._run, self._name, hidden=HIDDEN_FIELDS)

    def normalize_id(self, id: Any = _ABSENT, /) -> str | None:
        return _normalize(self._run.transaction, self._name, _required(id, "normalize_id"), "db.system.normalize_id")


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
        raise _not_with_system()
    if transaction.table_name(document.table) not in PUBLIC_SYSTEM_TABLES:
        return None
    found = await transaction.get(document)
    return None if found is None else visible_part(found)


def _insert(transaction: Transaction, table: str, value: object) -> str:
    _check_table_argument(table, "db.insert")
    if table[:1] == "_":
        raise _read_only()
    return transaction.add(table, _fields(value, "db.insert"))


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
    document = read_id(id, "id", method, position=2)
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


def read_id(id: object, argument: str, method: str, *, position: int = 1) -> DocumentId:
    """Raises `DeveloperError` `InvalidArgument` for what is no text, `InvalidId` for a text that is no id."""
    if not isinstance(id, str):
        _check_given(id, position, argument, method)
        raise DeveloperError(
            "InvalidArgument",
            f"Invalid argument `{argument}` for `{method}`, expected string but got '{type(id).__name__}': {id!r:.80}",
        )
    return decode_id(id)


def _normalize(transaction: Transaction, table: str, id: object, method: str) -> str | None:
    if not isinstance(id, str):
        read_id(id, "id", method, position=2)
        return None
    try:
        document = decode_id(id)
    except InvalidId:
        return None
    return encode_id(document) if transaction.table_name(document.table) == table else None


def _with_value(given: tuple[Any, ...], method: str) -> tuple[object, object, object]:
    """`(id, absent, value)` or `(table, id, value)`."""
    if len(given) > 3:
        raise TypeError(f"{method}() takes an id and a value, or a table, an id and a value; {len(given)} were given")
    table, document, value = given if len(given) == 3 else (_ABSENT, *given, _ABSENT, _ABSENT)[:3]
    before_id = 0 if table is _ABSENT else 1
    _check_given(document, before_id + 1, "id", method)
    _check_given(value, before_id + 2, "value", method)
    return (document, _ABSENT, value) if table is _ABSENT else (table, document, value)


def _of_table(table: str, given: tuple[Any, ...], method: str) -> tuple[Any, ...]:
    """The arguments of a method with the table before them; `given` should be an id and a value."""
    if len(given) > 2:
        raise TypeError(f"db.table().{method}() takes an id and a value; {len(given)} were given")
    document, value = (*given, _ABSENT, _ABSENT)[:2]
    _check_given(document, 1, "id", method)
    _check_given(value, 2, "value", method)
    return table, document, value


def _fields(value: object, method: str) -> dict[str, Value]:
    if type(value) is not dict and not isinstance(value, Mapping):
        _check_given(value, 2, "value", method)
        raise _not_an_object(method)
    return convert(value)  # type: ignore[return-value]  # a mapping converts to a dict


def _required(id: object, method: str) -> object:
    _check_given(id, 1, "id", method)
    return id


def _check_given(argument: object, position: int, name: str, method: str) -> None:
    if argument is _ABSENT or argument is undefined:
        raise TypeError(f"Must provide arg {position} `{name}` to `{method.rpartition('.')[2]}`")


def _check_user_table(table: object, method: str) -> None:
    _check_table_argument(table, method)
    if str(table).startswith("_"):
        raise _only_with_system()


def _check_system_table(table: object, method: str) -> None:
    _check_table_argument(table, method)
    if not str(table).startswith("_"):
        raise DeveloperError("NotASystemTable", "User tables can only be accessed from db.query().")


def _check_table_argument(table: object, method: str) -> None:
    if not isinstance(table, str):
        _check_given(table, 1, "table", method)
        raise DeveloperError(
            "InvalidArgument",
            f"Invalid argument `table` for `{method}`, expected string but got '{type(table).__name__}': {table!r:.80}",
        )


def _read_only() -> DeveloperError:
    return DeveloperError("SystemTableReadOnly", "System tables (prefixed with `_`) are read-only.")


def _only_with_system() -> DeveloperError:
    return DeveloperError("SystemTable", "System tables can only be accessed with db.system.")


def _not_with_system() -> DeveloperError:
    return DeveloperError("NotASystemTable", "User tables cannot be accessed with db.system.")


def _not_an_object(method: str) -> DeveloperError:
    return DeveloperError("InvalidArgument", f"Invalid argument `value` for `{method}`: Value must be an Object")


def _quoted(table: object) -> str:
    return f'"{table}"' if table is not None else "unknown"
