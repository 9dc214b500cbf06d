"""Full-text and vector search in SQLite: one FTS5 table for all search indexes, one table for all vectors.

FTS5 only finds. Its words are terms with the number of their index before them, so that one expression picks the
index, the terms and the filters; what a document's text is ranked by stands beside them.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from pyconvex.store.keys import DocumentChange, NewFound
from pyconvex.store.search.entries import FILTER_BYTES, Entry, SearchEntry
from pyconvex.store.search.selection import RANKED_CHARACTERS, Candidate, Candidates, Having, SearchQuery, select
from pyconvex.store.search.vectors import Nearest, Similar, VectorQuery
from pyconvex.store.search.words import expression, filter_word, index_word, words_of

Execute: TypeAlias = Callable[..., sqlite3.Cursor]

MIGRATION: Final = (
    # Words beyond ASCII are kept whole, and ours are lower case already. `prefix` makes short prefixes quick: one to
    # three characters, behind the nine that say the index.
    """CREATE VIRTUAL TABLE search USING fts5 (words, key UNINDEXED, text UNINDEXED,
    tokenize = "ascii tokenchars '.'", prefix = '10 11 12', detail = none, columnsize = 0)""",
    """CREATE TABLE vectors (id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, key BLOB NOT NULL, filters BLOB NOT NULL,
    vector BLOB NOT NULL)""",
    "CREATE INDEX vectors_of_index ON vectors (idx)",
)

_SLOT_BITS = 16
_NUMBERS = "SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?"
_CANDIDATE = f"SELECT key, substr(text, 1, {RANKED_CHARACTERS}) FROM search WHERE rowid = ?"
_VECTORS = "SELECT id, key, vector FROM vectors WHERE idx = ? AND id > ?{} ORDER BY id LIMIT ?"
_CLEARED_ROWS = 512


async def search(execute: Execute, index: int, query: SearchQuery, limit: int) -> Candidates:
    """The documents that match: the `limit` most promising ones when there are more. It never suspends."""
    filters = "".join(f' AND "{filter_word(index, *each)}"' for each in query.filters)

    async def find(having: Having, limit: int) -> Sequence[int]:
        sought = expression(index, having, quote='"', prefixed=" *", all_of=" AND ", any_of=" OR ")
        rows = execute(_NUMBERS, (sought + filters, limit)).fetchall()
        return [number for (number,) in rows]

    numbers, complete = await select(find, query.terms, limit)
    return Candidates([Candidate(*execute(_CANDIDATE, (number,)).fetchone()) for number in numbers], complete)


async def nearest(execute: Execute, index: int, query: VectorQuery) -> list[Similar]:
    """The nearest vectors. All are looked at, and the event loop has its turn in between."""
    nearest = Nearest(query)
    statement = _VECTORS.format(_any_filter(query))
    filters = [value for position, digest in query.filters for value in (1 + position * FILTER_BYTES, digest)]
    last = -1
    while True:
        rows = execute(statement, (index, last, *filters, nearest.rows)).fetchall()
        nearest.add([(key, vector) for _, key, vector in rows])
        if len(rows) < nearest.rows:
            return nearest.best()
        last = rows[-1][0]
        await asyncio.sleep(0)


def write(execute: Execute, seq: int, change: DocumentChange) -> None:
    """Bring the entries of one document up to date."""
    for index, before, after in change.found:
        # Equal ones are left alone also where an index in the making has not got the document yet: it will.
        if before == after:
            continue
        if before is not None:
            table = "search" if isinstance(before, SearchEntry) else "vectors"
            execute(f"DELETE FROM {table} WHERE rowid = ?", (_row_number(seq, index),))
        if after is not None:
            _put(execute, seq, index, change.after[1], after)


def add(execute: Execute, seq: int, entry: NewFound) -> None:
    """Add a document to an index in the making, unless a write has done so."""
    _put(execute, seq, entry.index, entry.by_creation_time, entry.entry)


def clear(execute: Execute, index: int) -> None:
    """Remove some entries of an index."""
    execute("DELETE FROM vectors WHERE id IN (SELECT id FROM vectors WHERE idx = ? LIMIT ?)", (index, _CLEARED_ROWS))
    for row in execute(_NUMBERS, (f'"{index_word(index)}"', _CLEARED_ROWS)).fetchall():
        execute("DELETE FROM search WHERE rowid = ?", row)


def holds(execute: Execute, index: int) -> bool:
    """Whether an index has entries."""
    if execute("SELECT 1 FROM vectors WHERE idx = ? LIMIT 1", (index,)).fetchone() is not None:
        return True
    return execute(_NUMBERS, (f'"{index_word(index)}"', 1)).fetchone() is not None


def _put(execute: Execute, seq: int, index: int, key: bytes, entry: Entry) -> None:
    number = _row_number(seq, index)
    if isinstance(entry, SearchEntry):
        words = " ".join(words_of(index, entry))
        execute(
            "INSERT OR REPLACE INTO search (rowid, words, key, text) VALUES (?, ?, ?, ?)",
            (number, words, key, entry.text),
        )
    else:
        row = (number, index, key, b"".join(entry.filters), entry.vector)
        execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", row)


def _row_number(seq: int, index: int) -> int:
    """A document has a row for each of its indexes; rows of one index are in the order of their documents."""
    return seq << _SLOT_BITS | index & (1 << _SLOT_BITS) - 1


def _any_filter(query: VectorQuery) -> str:
    if not query.filters:
        return ""
    conditions = [f"substr(filters, ?, {FILTER_BYTES}) = ?"] * len(query.filters)
    return f" AND ({' OR '.join(conditions)})"
