"""The documents that a search finds, best first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from pyconvex.errors import DeveloperError
from pyconvex.store.persistence import Row
from pyconvex.store.schema.catalog import Index, creation_index, id_key_in, table_of_index
from pyconvex.values.keys import after_prefix, encode_key
from pyconvex.values.value import Value
from pyconvex.values.wire import load

from .entries import SearchEntry
from .ranking import Ranked, Ranking
from .selection import CANDIDATES_MAX, RANKED_CHARACTERS, Candidate, SearchQuery

if TYPE_CHECKING:
    from pyconvex.store.transaction import Transaction

_FIRST_PAGE_ROWS: Final = 16
_PAGE_ROWS_MAX: Final = 64
_RANKED_AT_ONCE: Final = 64
_REVERSED: Final = bytes(range(255, -1, -1))


class SearchScan:
    """An async iterator over the documents that match, from one position in the order of relevance to another.

    The transaction depends on all terms that are looked for, however many documents are taken.

    Args:
        start, stop: positions as `row` has them; None stands for the end.
    """

    def __init__(
        self, transaction: "Transaction", index: Index, query: SearchQuery, start: bytes, stop: bytes | None
    ) -> None:
        self._transaction = transaction
        self._index = index
        self._query = query
        self._span = (start, stop)
        self._ranked: list[Ranked] | None = None
        self._complete = True
        self._taken = 0
        self._page_rows = _FIRST_PAGE_ROWS
        self._rows: Sequence[Row] = ()
        self._position = 0

    def __aiter__(self) -> "SearchScan":
        return self

    @property
    def row(self) -> Row:
        """Position, size and storage form of the last document handed out."""
        return self._rows[self._position - 1]

    async def __anext__(self) -> dict[str, Value]:
        ranked = self._ranked
        if ranked is None:
            ranked = self._ranked = await self._begin()
        while self._position == len(self._rows):
            if self._taken == len(ranked):
                self._check_complete()
                raise StopAsyncIteration
            await self._fetch(ranked)
        _, size, body = self._rows[self._position]
        self._position += 1
        self._transaction.usage.read(1, size)
        return cast("dict[str, Value]", load(body))

    async def _begin(self) -> list[Ranked]:
        """All that match, as far as they are candidates, in order."""
        transaction = self._transaction
        transaction.usage.read_range()
        self._depend()
        found = await self._candidates()
        ranking = Ranking(self._query.terms)
        for at, candidate in enumerate(found, 1):
            ranking.add(*candidate)
            if (
                at % _RANKED_AT_ONCE == 0
                and transaction.pause is not None
                and (turn := transaction.pause()) is not None
            ):
                await turn
        ranked = ranking.ordered()
        if len(ranked) > CANDIDATES_MAX:
            self._complete = False
            del ranked[CANDIDATES_MAX:]
        start, stop = self._span
        return [one for one in ranked if start <= _position(one) and (stop is None or _position(one) < stop)]

    async def _candidates(self) -> list[Candidate]:
        """The engine's, with what the transaction has written over them."""
        transaction, index = self._transaction, self._index
        changed = transaction.written_in(table_of_index(index.number))
        hidden = {written.stored.keys[1] for written in changed if written.stored is not None}
        limit = CANDIDATES_MAX + len(hidden)
        found, self._complete = await transaction.reader.search(index.number, self._query, limit=limit)
        candidates = [candidate for candidate in found if candidate.key not in hidden]
        for written in changed:
            if written.now is not None:
                entry = written.now.entries(written.table)[written.table.searched.index(index)]
                if isinstance(entry, SearchEntry) and self._query.matches(entry):
                    candidates.append(Candidate(written.now.keys[1], entry.text[:RANKED_CHARACTERS]))
        return candidates

    def _depend(self) -> None:
        reads, index, terms = self._transaction.reads, self._index.number, self._query.terms
        for term in terms.exact:
            if term != terms.prefix:
                reads.add_point(index, term.encode())
        prefix = terms.prefix.encode()
        reads.add(index, prefix, after_prefix(prefix))

    async def _fetch(self, ranked: Sequence[Ranked]) -> None:
        page = ranked[self._taken : self._taken + self._page_rows]
        self._taken += len(page)
        self._page_rows = min(2 * self._page_rows, _PAGE_ROWS_MAX)
        documents = await self._documents([one.key for one in page])
        # A document that the function has deleted since the search began is passed over.
        self._rows = [(_position(one), *documents[one.key]) for one in page if one.key in documents]
        self._position = 0

    async def _documents(self, keys: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """Size and body of the documents with these keys in `by_creation_time`, as the transaction sees them."""
        transaction = self._transaction
        stored: list[bytes] = []
        documents: dict[bytes, tuple[int, bytes]] = {}
        for key in keys:
            written = transaction.written(id_key_in(key))
            if written is None:
                stored.append(key)
            elif written.now is not None:
                documents[key] = (written.now.size, written.now.body)
        by_creation_time = creation_index(table_of_index(self._index.number))
        for key, size, body in await transaction.reader.at(by_creation_time, stored) if stored else ():
            documents[key] = (size, body)
        return documents

    def _check_complete(self) -> None:
        if self._span[1] is None and not self._complete:
            raise DeveloperError(
                "SearchTooManyDocuments",
                f"Search query scanned too many documents (fetched {CANDIDATES_MAX}). "
                "Use a smaller limit, paginate the query, or use more filter conditions.",
            )


def _position(ranked: Ranked) -> bytes:
    """Sorts as the results do: by falling score, then the newer first."""
    return encode_key((-ranked.score,)) + ranked.key.translate(_REVERSED)
