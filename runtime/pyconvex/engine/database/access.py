"""What a function read and wrote, as a report for its developer: index ranges in values, writes, and limits.

Queries conflict with mutations, and live queries run again, for nothing else than these ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from pyconvex.store.keys import after_key
from pyconvex.store.observed import ObservedTransaction, Seen, Write
from pyconvex.store.schema.catalog import BY_CREATION_TIME, BY_ID, Index, IndexKind, Table, table_of_index
from pyconvex.values.display import display_in_error
from pyconvex.values.key_values import KeyValues, key_values
from pyconvex.values.keys import encode_key
from pyconvex.values.value import Undefined, Value
from pyconvex.values.wire import encodable

if TYPE_CHECKING:
    from pyconvex.engine.execution import Execution
    from pyconvex.settings import Limits
    from pyconvex.store.keys import KeyRange
    from pyconvex.store.schema.catalog import Catalog
    from pyconvex.store.usage import Usage

_VALUES_SHOWN_MAX: Final = 80


class Bound(Struct, frozen=True):
    """Where a range begins or ends: several fields compare as a tuple does, the first one first."""

    fields: tuple[str, ...]
    values: tuple[Value | Undefined, ...]
    inclusive: bool

    def text(self, sign: str) -> str:
        """`n ≥ 5`; `sign` is `>` or `<`. The id that comes last is left out: it only parts equal documents."""
        pairs = list(zip(self.fields, self.values, strict=True))
        if len(pairs) > 1 and pairs[-1][0] == "_id":
            pairs.pop()
        names, values = ", ".join(name for name, _ in pairs), ", ".join(_shown(value) for _, value in pairs)
        sign = {">": "≥", "<": "≤"}[sign] if self.inclusive else sign
        return f"({names}) {sign} ({values})" if len(pairs) > 1 else f"{names} {sign} {values}"


class RangeRead(Struct, frozen=True):
    """A range of an index that was read, and what was met in it. `times` counts the reads of exactly this range."""

    table: str
    index: str
    equal: Mapping[str, Value | Undefined]
    """The first fields of the index and what they were equal to."""
    lower: Bound | None
    upper: Bound | None
    documents: int
    bytes: int
    times: int = 1
    prefix: str | None = None
    """Of a search index: all words that begin so. Its single words are equalities of `word`."""

    @property
    def text(self) -> str:
        """`author = "Ada", _creationTime ≥ 5`; `everything` for a whole index."""
        if self.prefix is not None:
            return f"word begins with {_shown(self.prefix)}"
        parts = [f"{name} = {_shown(value)}" for name, value in self.equal.items()]
        parts += [self.lower.text(">")] if self.lower else []
        parts += [self.upper.text("<")] if self.upper else []
        return ", ".join(parts) or "everything"


class LimitUse(Struct, frozen=True):
    """How much of a limit was used up; `unit` is empty for a count."""

    name: str
    used: float
    limit: float
    unit: str = ""

    @property
    def share(self) -> float:
        return self.used / self.limit


class AccessReport(Struct):
    """What one function read and wrote, the queries and mutations it ran in its own transaction included.

    An action has no transaction; `calls` are those of the queries and mutations that it ran.
    """

    function: str
    kind: str
    reads: tuple[RangeRead, ...] = ()
    """In the order of the first read."""
    writes: tuple[Write, ...] = ()
    """In order; those of failed sub-transactions are not among them."""
    limits: tuple[LimitUse, ...] = ()
    variables: tuple[str, ...] = ()
    """Names of the environment variables that were read."""
    time_read: bool = False
    retries: int = 0
    """How often it had to be run again."""
    calls: list[AccessReport] = field(default_factory=list["AccessReport"])
    value: Value = None
    """What the function returned."""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; values as on the wire, a missing field as `{"$undefined": null}`."""
        return {
            "function": self.function,
            "kind": self.kind,
            "reads": [_range_json(each) for each in self.reads],
            "writes": [each._asdict() for each in self.writes],
            "limits": [
                {"name": each.name, "used": each.used, "limit": each.limit, "unit": each.unit} for each in self.limits
            ],
            "environmentVariables": list(self.variables),
            "timeRead": self.time_read,
            "retries": self.retries,
            "calls": [each.to_json() for each in self.calls],
        }


def observe(execution: Execution, transaction: ObservedTransaction, seconds: float, seconds_max: float) -> AccessReport:
    """The report of a query or mutation that has just ended, after `seconds` of user code."""
    limits = (
        *_limits(transaction.usage, transaction.usage.limits),
        LimitUse("user code", seconds, seconds_max, "seconds"),
    )
    return AccessReport(
        execution.identifier,
        execution.kind.value,
        ranges_read(transaction),
        tuple(transaction.writes),
        limits,
        time_read=execution.time_read,
        retries=execution.retries,
    )


def add_call(caller: Execution, called: Execution) -> None:
    """Notes what a function did that an action ran."""
    if called.observed and (report := access_of(called)) is not None:
        if caller.access is None:
            caller.access = AccessReport(caller.identifier, caller.kind.value)
        caller.access.calls.append(report)


def access_of(execution: Execution, value: Value = None) -> AccessReport | None:
    """The report of an execution that has ended with `value`; None of a transaction that never began."""
    if execution.access is None and not execution.is_transaction:
        execution.access = AccessReport(execution.identifier, execution.kind.value)
    if execution.access is not None:
        execution.access.variables = tuple(sorted(execution.variables_read))
        execution.access.value = value
    return execution.access


def ranges_read(transaction: ObservedTransaction) -> tuple[RangeRead, ...]:
    """What `transaction` has read so far; equal ranges are one."""
    found: dict[KeyRange, tuple[int, Seen]] = {}
    for slot, span in enumerate(transaction.reads):
        times, seen = found.get(span, (0, Seen()))
        new = transaction.seen.get(slot, Seen())
        found[span] = times + 1, Seen(seen.documents + new.documents, seen.bytes + new.bytes)
    return tuple(_described(transaction.catalog, span, seen, times) for span, (times, seen) in found.items())


def _described(catalog: Catalog, span: KeyRange, seen: Seen, times: int) -> RangeRead:
    table = catalog.numbered(table_of_index(span.index))
    indexes = () if table is None else (*table.indexes, *table.searched)
    index = next((each for each in indexes if each.number == span.index), None)
    if table is not None and index is not None and index.kind is IndexKind.SEARCH:
        return _words(table, index, span, seen, times)
    if index is None:
        fields: tuple[str, ...] = ()
    elif index.name == BY_ID:
        fields = index.fields
    else:
        fields = (*index.fields, *([] if index.name == BY_CREATION_TIME else ["_creationTime"]), "_id")
    equal, lower, upper = _bounds(span, fields)
    return RangeRead(
        table.name if table else f"(table {table_of_index(span.index)})",
        index.name if index else f"(index {span.index & 0xFFFF})",
        equal,
        lower,
        upper,
        seen.documents,
        seen.bytes,
        times,
    )


def _words(table: Table, index: Index, span: KeyRange, seen: Seen, times: int) -> RangeRead:
    """A range of a search index, whose keys are words."""
    word = span.start.decode("utf-8", "replace")
    single = span.stop == after_key(span.start)
    equal: dict[str, Value | Undefined] = {"word": word} if single else {}
    return RangeRead(
        table.name, index.name, equal, None, None, seen.documents, seen.bytes, times, None if single else word
    )


def _bounds(span: KeyRange, fields: Sequence[str]) -> tuple[dict[str, Value | Undefined], Bound | None, Bound | None]:
    """A range of keys as its author wrote it: equalities on the first fields, and bounds on what follows."""
    least = key_values(span.start)
    most = KeyValues((), b"\xff") if span.stop is None else key_values(span.stop)
    same = 0
    for left, right in zip(least.values, most.values, strict=False):
        if encode_key((left,)) != encode_key((right,)):
            break
        same += 1
    if same and ((same == len(least.values) and least.rest) or (same == len(most.values) and not most.rest)):
        same -= 1  # begins behind these values, or ends before them: so they are no equality
    equal = dict(zip(_named(fields, 0, same), least.values, strict=False))
    lower = Bound(_named(fields, same, len(least.values)), least.values[same:], inclusive=not least.rest)
    upper = Bound(_named(fields, same, len(most.values)), most.values[same:], inclusive=bool(most.rest))
    return equal, lower if lower.values else None, upper if upper.values else None


def _named(fields: Sequence[str], start: int, stop: int) -> tuple[str, ...]:
    """Some of the fields of an index; a number for what has no name."""
    return tuple(fields[at] if at < len(fields) else f"#{at + 1}" for at in range(start, stop))


def _limits(usage: Usage, limits: Limits) -> tuple[LimitUse, ...]:
    return (
        LimitUse("documents read", usage.documents_read, limits.read_documents),
        LimitUse("bytes read", usage.bytes_read, limits.read_bytes, "bytes"),
        LimitUse("ranges read", usage.ranges_read, limits.read_ranges),
        LimitUse("documents written", usage.documents_written, limits.write_documents),
        LimitUse("bytes written", usage.bytes_written, limits.write_bytes, "bytes"),
    )


def _shown(value: Value | Undefined) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    text = display_in_error(value)
    return text if len(text) <= _VALUES_SHOWN_MAX else f"{text[:_VALUES_SHOWN_MAX]}…"


def _range_json(read: RangeRead) -> dict[str, Any]:
    return {
        "table": read.table,
        "index": read.index,
        "range": read.text,
        "equal": {name: _value_json(value) for name, value in read.equal.items()},
        "lower": _bound_json(read.lower),
        "upper": _bound_json(read.upper),
        "prefix": read.prefix,
        "documents": read.documents,
        "bytes": read.bytes,
        "times": read.times,
    }


def _bound_json(bound: Bound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    values = [_value_json(value) for value in bound.values]
    return {"fields": list(bound.fields), "values": values, "inclusive": bound.inclusive}


def _value_json(value: Value | Undefined) -> object:
    return {"$undefined": None} if isinstance(value, Undefined) else encodable(value)
