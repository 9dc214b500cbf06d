"""What has to change in the database before a save that it refused can be served."""

from collections.abc import Iterable

from pyconvex.errors import LoadFailed, Remedy
from pyconvex.host import Reloaded
from pyconvex.store.documents import entry_by_id
from pyconvex.store.keys import Commit, IndexKey
from pyconvex.store.schema.catalog import EMPTY_CATALOG, ENVIRONMENT, table_of_index

RETRY_SECONDS = 0.25
"""How long after a change of the data a save that was refused is tried again."""
RETRY_SECONDS_MAX = 8.0
"""The same after several retries that changed nothing."""

_VARIABLES = EMPTY_CATALOG.system(ENVIRONMENT).by_id.number


class AwaitedData:
    """The documents and variables that stand in the way of a save, as far as they are known.

    Each retry finds up to ten documents, the same ones until they are changed. So a retry is worthwhile when one of
    them was written, and worth a word when it succeeds or finds none of those that were shown.
    """

    def __init__(self) -> None:
        self._shown: frozenset[str] = frozenset()
        self._entries: frozenset[IndexKey] = frozenset()
        self._for_variable = False
        self._quiet = 0
        self._loading = False
        self._touched: set[int] = set()

    @property
    def delay(self) -> float:
        """How long to wait with a retry (seconds)."""
        return min(RETRY_SECONDS * 2.0**self._quiet, RETRY_SECONDS_MAX)

    @property
    def waits(self) -> bool:
        return bool(self._entries) or self._for_variable

    def begin(self) -> None:
        """A load begins."""
        self._loading = True
        self._touched.clear()

    def end(self, outcome: Reloaded | LoadFailed, *, is_retry: bool) -> bool:
        """The load has ended. Returns whether that is news, for a retry that nobody asked for."""
        self._loading = False
        problems = outcome.problems if isinstance(outcome, LoadFailed) else ()
        found = frozenset(each.id for problem in problems for each in problem.documents)
        self._entries = frozenset(map(entry_by_id, found))
        self._for_variable = any(problem.remedy is Remedy.SET_VARIABLE for problem in problems)
        if is_retry and self._shown & found:
            self._quiet += 1
            return False
        self._shown, self._quiet = found, 0
        return True

    def missed(self) -> bool:
        """Whether something that is waited for may have changed before it was known to be waited for."""
        return not self._touched.isdisjoint(table_of_index(entry.index) for entry in self._entries)

    def concerned(self, commit: Commit) -> bool:
        """Whether a retry is worthwhile after this commit."""
        if self._loading:
            self._touched.update(map(table_of_index, _indexes(commit)))
        if not self.waits:
            return False
        if commit.everything or (self._for_variable and commit.touches(_VARIABLES)):
            return True
        return not self._entries.isdisjoint(commit.written)


def _indexes(commit: Commit) -> Iterable[int]:
    if commit.documents:
        return (change.indexes[0] for change in commit.documents)
    return (key.index for key in commit.written)
