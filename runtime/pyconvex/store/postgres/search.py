"""Full-text and vector search in PostgreSQL: one table for all search indexes, one for all vectors.

The words of a document are kept as a `tsvector`. Vectors are pgvector's where the extension is there or can be made,
and bytes that are scanned in this process otherwise: the answers are the same.
"""

from array import array
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from msgspec import Struct, field
from psycopg.types.numeric import Int8

from pyconvex.store.keys import Changes, DocumentChange
from pyconvex.store.search.entries import FILTER_BYTES, Entry, SearchEntry
from pyconvex.store.search.selection import RANKED_CHARACTERS, Candidate, Candidates, Having, SearchQuery, select
from pyconvex.store.search.vectors import SLACK, Nearest, Similar, VectorQuery, unpacked
from pyconvex.store.search.words import expression, filter_word, words_of

from .arrays import blobs, integers, texts

Fetch: TypeAlias = Callable[[bytes, tuple[Any, ...]], Awaitable[Sequence[Any]]]
Statement: TypeAlias = tuple[bytes, Sequence[Any]]

MIGRATION: Final[tuple[LiteralString, ...]] = (
    # A tsvector ends near a megabyte, so a very large text takes several rows: the text is in the first one.
    """CREATE TABLE pyconvex.search (idx bigint NOT NULL, key bytea NOT NULL, part bigint NOT NULL, text text NOT NULL,
    words tsvector NOT NULL, PRIMARY KEY (idx, key, part))""",
    "CREATE INDEX search_words ON pyconvex.search USING gin (words) WITH (gin_pending_list_limit = 256)",
    # Rare words are found by bitmap scans, which our connections otherwise do without; frequent ones by going through
    # the newest documents. Which are which, the statistics say.
    """CREATE FUNCTION pyconvex.found(number bigint, sought tsquery, most bigint) RETURNS SETOF bytea
    LANGUAGE plpgsql STABLE SET enable_bitmapscan = on SET plan_cache_mode = force_custom_plan AS $$ BEGIN
    RETURN QUERY SELECT DISTINCT ON (s.key) s.key FROM pyconvex.search s
    WHERE s.idx = number AND s.words @@ sought ORDER BY s.key DESC LIMIT most;
    END $$""",
    "DO $$ BEGIN CREATE EXTENSION vector SCHEMA pyconvex; EXCEPTION WHEN OTHERS THEN NULL; END $$",
    """DO $$ DECLARE kind text; BEGIN
    SELECT format('%I.vector', n.nspname) INTO kind FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector';
    EXECUTE format('CREATE TABLE pyconvex.vectors (idx bigint NOT NULL, key bytea NOT NULL, filters bytea NOT NULL,
    vector %s NOT NULL, PRIMARY KEY (idx, key))', coalesce(kind, 'bytea'));
    END $$""",
)

_PART_WORDS: Final = 20_000
_CLEARED_ROWS: Final = 512
_FOUND: Final = b"SELECT * FROM pyconvex.found(%b, %b::text::tsquery, %b)"
_CANDIDATES: Final = f"""SELECT key, left(text, {RANKED_CHARACTERS}) FROM pyconvex.search
WHERE idx = %b AND key = ANY(%b::bytea[]) AND part = 0""".encode()
_HOLDS: Final = b"""SELECT 1 WHERE EXISTS (SELECT FROM pyconvex.search WHERE idx = %b)
OR EXISTS (SELECT FROM pyconvex.vectors WHERE idx = %b)"""
_FILTERED: Final = f"""EXISTS (SELECT FROM unnest(%b::bigint[], %b::bytea[]) AS f (at, value)
WHERE substring(filters FROM at::integer FOR {FILTER_BYTES}) = value)"""
_VECTORS: Final = {
    filtered: (
        "SELECT key, vector FROM pyconvex.vectors WHERE idx = %b AND key > %b"
        + (f" AND {_FILTERED}" if filtered else "")
        + " ORDER BY key LIMIT %b"
    ).encode()
    for filtered in (False, True)
}
# The query's own vector is a subselect, so that it is read once and not for each row.
_PRODUCTS: Final = """WITH products AS MATERIALIZED (
    SELECT key, vector OPERATOR({0}.<#>) (SELECT %b::text::{0}.vector) AS product FROM pyconvex.vectors
    WHERE idx = %b{1}
), worst AS (SELECT max(product) AS product FROM (SELECT product FROM products ORDER BY product LIMIT %b) AS nearest)
SELECT v.key, {0}.vector_send(v.vector) FROM worst, products p JOIN pyconvex.vectors v ON v.idx = %b AND v.key = p.key
WHERE p.product <= worst.product + {2}"""

_REMOVE: Final = {
    table: f"""DELETE FROM pyconvex.{table} s USING unnest(%b::bigint[], %b::bytea[]) AS u (idx, key)
    WHERE s.idx = u.idx AND s.key = u.key""".encode()
    for table in ("search", "vectors")
}
_CLEAR: Final = {
    table: f"""DELETE FROM pyconvex.{table} WHERE idx = %b AND key IN
    (SELECT key FROM pyconvex.{table} WHERE idx = %b LIMIT {_CLEARED_ROWS})""".encode()
    for table in ("search", "vectors")
}
# A write since the index was begun may have added the same document.
_ADD_WORDS: Final = b"""INSERT INTO pyconvex.search
SELECT idx, key, part, text, array_to_tsvector(string_to_array(words, ' '))
FROM unnest(%b::bigint[], %b::bytea[], %b::bigint[], %b::text[], %b::text[]) AS u (idx, key, part, text, words)
ON CONFLICT DO NOTHING"""
_ADD_VECTORS: Final = """INSERT INTO pyconvex.vectors SELECT idx, key, filters, vector{0}
FROM unnest(%b::bigint[], %b::bytea[], %b::bytea[], %b::{1}[]) AS u (idx, key, filters, vector)
ON CONFLICT DO NOTHING"""


async def vector_schema(connection: "psycopg.AsyncConnection[Any]") -> str | None:
    """The schema of pgvector, quoted; None when vectors are kept as bytes."""
    cursor = await connection.execute(
        """SELECT quote_ident(n.nspname)::bytea FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE a.attrelid = 'pyconvex.vectors'::regclass AND a.attname = 'vector' AND t.typname = 'vector'"""
    )
    row = await cursor.fetchone()
    return None if row is None else bytes(row[0]).decode()


async def search(fetch: Fetch, index: int, query: SearchQuery, limit: int) -> Candidates:
    """The documents that match: the `limit` most promising ones when there are more."""
    filters = "".join(f" & '{filter_word(index, *each)}'" for each in query.filters)

    async def find(having: Having, limit: int) -> Sequence[bytes]:
        sought = expression(index, having, quote="'", prefixed=":*", all_of=" & ", any_of=" | ")
        return [key for (key,) in await fetch(_FOUND, (Int8(index), sought + filters, Int8(limit)))]

    keys, complete = await select(find, query.terms, limit)
    rows = await fetch(_CANDIDATES, (Int8(index), blobs(keys))) if keys else ()
    return Candidates([Candidate(key, text.decode()) for key, text in rows], complete)


async def nearest(fetch: Fetch, schema: str | None, index: int, query: VectorQuery) -> list[Similar]:
    """The nearest vectors; all are looked at, by pgvector in `schema` or here."""
    filters: tuple[Any, ...] = ()
    if query.filters:
        starts = [1 + position * FILTER_BYTES for position, _ in query.filters]
        filters = (integers(starts), blobs([value for _, value in query.filters]))
    nearest = Nearest(query)
    if schema is not None:
        statement = _PRODUCTS.format(schema, f" AND {_FILTERED}" if filters else "", SLACK).encode()
        bounds = (_shown(query.vector), Int8(index), *filters, Int8(query.limit), Int8(index))
        nearest.add([(key, _received(vector)) for key, vector in await fetch(statement, bounds)])
        return nearest.best()
    last = b""
    while True:
        rows = await fetch(_VECTORS[bool(filters)], (Int8(index), last, *filters, Int8(nearest.rows)))
        nearest.add(rows)
        if len(rows) < nearest.rows:
            return nearest.best()
        last = rows[-1][0]


async def holds(fetch: Fetch, index: int) -> bool:
    """Whether an index has entries."""
    return bool(await fetch(_HOLDS, (Int8(index), Int8(index))))


class SearchWrites(Struct):
    """What a batch changes in search and vector indexes.

    Args:
        schema: that of pgvector; None when vectors are kept as bytes.
    """

    schema: str | None
    _filled: "SearchWrites | None" = None
    """What indexes in the making get; see `filling`."""
    _removed: dict[str, list[tuple[int, bytes]]] = field(default_factory=lambda: {"search": [], "vectors": []})
    _words: list[tuple[int, bytes, int, bytes, bytes]] = field(
        default_factory=list[tuple[int, bytes, int, bytes, bytes]]
    )
    """Index, key, part, text and words."""
    _vectors: list[tuple[int, bytes, bytes, bytes]] = field(default_factory=list[tuple[int, bytes, bytes, bytes]])
    """Index, key, filters and vector."""
    _emptied: list[int] = field(default_factory=list[int])

    def add(self, changes: Changes) -> None:
        for change in changes.documents:
            if change.found:
                self._change(change)
        if changes.found and self._filled is None:
            self._filled = SearchWrites(self.schema)
        for new in changes.found:
            assert self._filled is not None, "it was made just now"
            self._filled._put(new.index, new.by_creation_time, new.entry)
        self._emptied += changes.emptied

    def filling(self) -> list[Statement]:
        """What goes before all other changes of the batch, which may take some of it away again."""
        return self._filled.statements() if self._filled is not None else []

    def statements(self) -> list[Statement]:
        found: list[Statement] = []
        for index in self._emptied:
            found += [(statement, (Int8(index), Int8(index))) for statement in _CLEAR.values()]
        for table, rows in self._removed.items():
            if rows:
                found.append((_REMOVE[table], (integers([row[0] for row in rows]), blobs([row[1] for row in rows]))))
        if self._words:
            indexes, keys, parts, contents, words = zip(*self._words, strict=True)
            found.append((_ADD_WORDS, (integers(indexes), blobs(keys), integers(parts), texts(contents), texts(words))))
        if self._vectors:
            found.append(self._add_vectors())
        return found

    def _change(self, change: DocumentChange) -> None:
        for index, before, after in change.found:
            # Equal ones are left alone also where an index in the making has not got the document yet: it will.
            if before == after:
                continue
            if before is not None:
                table = "search" if isinstance(before, SearchEntry) else "vectors"
                self._removed[table].append((index, change.before[1]))
            if after is not None:
                self._put(index, change.after[1], after)

    def _put(self, index: int, key: bytes, entry: Entry) -> None:
        if not isinstance(entry, SearchEntry):
            self._vectors.append((index, key, b"".join(entry.filters), entry.vector))
            return
        for part, words in enumerate(_parts(index, entry)):
            text = b"" if part else entry.text.encode()
            self._words.append((index, key, part, text, " ".join(words).encode()))

    def _add_vectors(self) -> Statement:
        indexes, keys, filters, vectors = zip(*self._vectors, strict=True)
        columns = integers(indexes), blobs(keys), blobs(filters)
        if self.schema is None:
            return _ADD_VECTORS.format("", "bytea").encode(), (*columns, blobs(vectors))
        statement = _ADD_VECTORS.format(f"::{self.schema}.vector", "text").encode()
        return statement, (*columns, texts([_shown(vector).encode() for vector in vectors]))


def _parts(index: int, entry: SearchEntry) -> Iterable[Sequence[str]]:
    """The words in pieces that fit into a tsvector, each with what every search asks for."""
    words = list(words_of(index, entry))
    always, terms = words[: 1 + len(entry.filters)], words[1 + len(entry.filters) :]
    return ([*always, *terms[at : at + _PART_WORDS]] for at in range(0, len(terms), _PART_WORDS))


def _shown(vector: bytes) -> str:
    """As pgvector reads it; nine digits tell all float32 numbers apart."""
    return f"[{','.join([f'{number:.9g}' for number in unpacked(vector)])}]"


def _received(sent: bytes) -> bytes:
    """A packed vector out of pgvector's binary form: a header of four bytes, then big-endian numbers."""
    numbers = array("I", sent[4:])
    numbers.byteswap()
    return numbers.tobytes()
