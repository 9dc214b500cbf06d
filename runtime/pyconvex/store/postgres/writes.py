"""The statements that write a batch's changes: all members' rows at once, in a handful of statements."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct, field
from psycopg.types.numeric import Int8

from pyconvex.store.keys import Changes, DocumentChange, KeyRange

from .arrays import blobs, integers, texts
from .commits import Record
from .layout import KEY_BYTES
from .reader import hash_of, long_bounds, long_range
from .search import SearchWrites

_RECORD_TEXT: Final = "INSERT INTO pyconvex.commits VALUES (%b, %b, %b, %b, %b, %b)"
_DOCUMENTS_TEXT: Final = "INSERT INTO pyconvex.documents SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::text[])"
_SHORT_ENTRIES: Final = """INSERT INTO pyconvex.entries SELECT idx, key, '', seq, ''
FROM unnest(%b::bigint[], %b::bytea[], %b::bigint[]) AS u (idx, key, seq)"""
_ENTRIES: Final = b"""INSERT INTO pyconvex.entries (idx, key, seq, hash, rest)
SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::bigint[], %b::bytea[], %b::bytea[])"""
_INSERT: Final = f"WITH documents AS ({_DOCUMENTS_TEXT}), entries AS ({_SHORT_ENTRIES}) {_RECORD_TEXT}".encode()
"""All that most batches do, in one statement."""

_RECORD: Final = _RECORD_TEXT.encode()
_DOCUMENTS: Final = _DOCUMENTS_TEXT.encode()

_BY_ID: Final = "JOIN pyconvex.entries e ON e.idx = u.idx AND e.key = u.key AND e.hash = ''"
_UPDATE: Final = f"""UPDATE pyconvex.documents d SET size = u.size, body = u.body
FROM unnest(%b::bigint[], %b::bytea[], %b::bigint[], %b::text[]) AS u (idx, key, size, body) {_BY_ID}
WHERE d.seq = e.seq""".encode()
_DELETE: Final = f"""DELETE FROM pyconvex.documents d
USING unnest(%b::bigint[], %b::bytea[]) AS u (idx, key) {_BY_ID} WHERE d.seq = e.seq""".encode()
_REMOVE: Final = b"""DELETE FROM pyconvex.entries e USING unnest(%b::bigint[], %b::bytea[], %b::bytea[])
AS u (idx, key, hash) WHERE e.idx = u.idx AND e.key = u.key AND e.hash = u.hash"""
# A write since the index was begun may have added the same entry.
_ADD: Final = f"""INSERT INTO pyconvex.entries (idx, key, hash, rest, seq)
SELECT u.new_idx, u.new_key, u.new_hash, u.new_rest, e.seq
FROM unnest(%b::bigint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[], %b::bytea[])
AS u (new_idx, new_key, new_hash, new_rest, idx, key) {_BY_ID} ON CONFLICT DO NOTHING""".encode()
_CLEAR: Final = {bounded: f"DELETE FROM pyconvex.entries e {long_range(bounded)}".encode() for bounded in (False, True)}

Statement: TypeAlias = tuple[bytes, Sequence[Any]]


class Writes(Struct):
    """What a batch writes, collected from its members, kind by kind.

    The order of the kinds is free but for what fills new indexes: no two members write one document, as whoever does
    has read it, and a change of the catalog lies between the filling of an index and its clearing.

    Args:
        next_seq: the number of the next new document.
        search: collects the changes of search and vector indexes.
    """

    next_seq: int
    search: SearchWrites
    _inserted: list[DocumentChange] = field(default_factory=list[DocumentChange])
    _updated: list[DocumentChange] = field(default_factory=list[DocumentChange])
    _deleted: list[DocumentChange] = field(default_factory=list[DocumentChange])
    _removed: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    _added: list[tuple[int, bytes, int, bytes]] = field(default_factory=list[tuple[int, bytes, int, bytes]])
    """Index, key, and the document by a short key that it has in another index."""
    _filled: list[tuple[int, bytes, int, bytes]] = field(default_factory=list[tuple[int, bytes, int, bytes]])
    """What an index in the making gets, like `_added`. It goes first: whoever changed one of those documents before, in
    this batch, has made the filling run again; whoever changes one after it takes its entry away again."""
    _cleared: list[KeyRange] = field(default_factory=list[KeyRange])

    def add(self, changes: Changes) -> None:
        self.search.add(changes)
        self._cleared += changes.cleared
        if changes.inserts_only:
            self._inserted += changes.documents
        else:
            for change in changes.documents:
                self._change(change)
        self._filled += [(index, key, owner, owner_key) for owner, owner_key, index, key in changes.entries]

    def _change(self, change: DocumentChange) -> None:
        if change.inserted:
            self._inserted.append(change)
        elif change.deleted:
            self._deleted.append(change)
            self._removed += zip(change.indexes, change.before, strict=True)
        else:
            self._updated.append(change)
            by_id = change.before[0]
            for index, before, after in zip(change.indexes, change.before, change.after, strict=True):
                if before != after:
                    self._removed.append((index, before))
                    self._added.append((index, after, change.indexes[0], by_id))

    def statements(self, record: Record) -> list[Statement]:
        """The statements in their order, the last one of which is that of the commit record."""
        found: list[Statement] = [(_CLEAR[span.stop is not None], long_bounds(span)) for span in self._cleared]
        if self._filled:
            found.append(_addition(self._filled))
        found += [*self.search.filling(), *self._changes(), *self.search.statements()]
        documents, entries, is_short = self._new_rows()
        record.next_seq = self.next_seq
        ts, catalog_ts, next_seq, node, batch, members = record.row()
        row = (Int8(ts), Int8(catalog_ts), Int8(next_seq), Int8(node), batch, members)
        if documents and is_short:
            return [*found, (_INSERT, (*documents, *entries, *row))]
        if documents:
            found += [(_DOCUMENTS, documents), (_ENTRIES, entries)]
        return [*found, (_RECORD, row)]

    def _changes(self) -> list[Statement]:
        found: list[Statement] = []
        if self._updated:
            sizes, bodies = [each.size for each in self._updated], [each.body for each in self._updated]
            found.append((_UPDATE, (*_by_id(self._updated), integers(sizes), texts(bodies))))
        if self._deleted:
            found.append((_DELETE, _by_id(self._deleted)))
        if self._removed:
            hashes = [hash_of(key) for _, key in self._removed]
            found.append((_REMOVE, (*_keys(self._removed), blobs(hashes))))
        if self._added:
            found.append(_addition(self._added))
        return found

    def _new_rows(self) -> tuple[Sequence[Any], Sequence[Any], bool]:
        """The columns of new documents and of their entries, and whether all keys of these are short."""
        if not self._inserted:
            return (), (), True
        first = self.next_seq
        self.next_seq += len(self._inserted)
        seqs = list(range(first, self.next_seq))
        documents = (
            integers(seqs),
            integers([change.size for change in self._inserted]),
            texts([change.body for change in self._inserted]),
        )
        indexes: list[int] = []
        keys: list[bytes] = []
        owners: list[int] = []
        for seq, change in zip(seqs, self._inserted, strict=True):
            indexes += change.indexes
            keys += change.after
            owners += [seq] * len(change.indexes)
        if max(map(len, keys)) <= KEY_BYTES:
            return documents, (integers(indexes), blobs(keys), integers(owners)), True
        hashes, rests = [hash_of(key) for key in keys], [key[KEY_BYTES:] for key in keys]
        firsts = [key[:KEY_BYTES] for key in keys]
        return documents, (integers(indexes), blobs(firsts), integers(owners), blobs(hashes), blobs(rests)), False


def _addition(added: Sequence[tuple[int, bytes, int, bytes]]) -> Statement:
    keys = [entry[:2] for entry in added]
    hashes, rests = [hash_of(key) for _, key in keys], [key[KEY_BYTES:] for _, key in keys]
    documents = [entry[2:] for entry in added]
    return _ADD, (*_keys(keys), blobs(hashes), blobs(rests), *_keys(documents))


def _by_id(changes: Sequence[DocumentChange]) -> tuple[Any, Any]:
    return _keys([(change.indexes[0], change.before[0]) for change in changes])


def _keys(entries: Sequence[tuple[int, bytes]]) -> tuple[Any, Any]:
    return integers([index for index, _ in entries]), blobs([key[:KEY_BYTES] for _, key in entries])
