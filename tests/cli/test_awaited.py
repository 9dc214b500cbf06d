"""What `dev` waits for after the data has refused a save, and when it tries again."""

from pyconvex.errors import LoadFailed, Problem, Remedy, UnfitDocument
from pyconvex.store.documents import entry_by_id
from pyconvex.store.keys import Commit, DocumentChange
from pyconvex.store.schema.catalog import EMPTY_CATALOG, ENVIRONMENT
from pyconvex.values.ids import DocumentId, encode_id
from pyconvex_cli.awaited import RETRY_SECONDS, RETRY_SECONDS_MAX, AwaitedData

IDS = [encode_id(DocumentId(10_001, bytes([number] * 16))) for number in range(30)]
ELSEWHERE = encode_id(DocumentId(10_002, bytes(16)))


def refused(*ids: str) -> LoadFailed:
    documents = tuple(UnfitDocument(each, "notes", ".text", "Value does not match validator.") for each in ids)
    return LoadFailed([Problem("SchemaViolation", "no", remedy=Remedy.CHANGE_DATA, documents=documents)])


def local(*ids: str) -> Commit:
    """A commit of this process that wrote these documents."""
    changes: list[DocumentChange] = []
    for each in ids:
        index, key = entry_by_id(each)
        changes.append(DocumentChange((index, index + 1), (key, b"t" + key), (), 0, b""))
    return Commit(1, changes)


def remote(*ids: str) -> Commit:
    """The same of another process."""
    return Commit.of(1, local(*ids).written)


def test_it_waits_for_the_documents_that_were_shown() -> None:
    awaited = AwaitedData()
    awaited.begin()
    assert awaited.end(refused(*IDS[:2]), is_retry=False)
    assert awaited.waits
    for commit in (local, remote):
        assert awaited.concerned(commit(IDS[0])) and awaited.concerned(commit(ELSEWHERE, IDS[1]))
        assert not awaited.concerned(commit(IDS[2])) and not awaited.concerned(commit(ELSEWHERE))
    assert awaited.concerned(Commit.missed(5))


def test_it_waits_for_nothing_without_such_a_problem() -> None:
    awaited = AwaitedData()
    awaited.begin()
    assert awaited.end(LoadFailed([Problem("syntax", "no")]), is_retry=False)
    assert not awaited.waits
    assert not awaited.concerned(local(IDS[0])) and not awaited.concerned(Commit.missed(5))


def test_it_waits_for_a_variable() -> None:
    awaited = AwaitedData()
    awaited.begin()
    awaited.end(LoadFailed([Problem("variable", "no", remedy=Remedy.SET_VARIABLE)]), is_retry=False)
    variables = EMPTY_CATALOG.system(ENVIRONMENT).by_id.number
    assert awaited.waits
    assert awaited.concerned(Commit(1, [DocumentChange((variables, variables + 1), (), (b"a", b"b"), 0, b"")]))
    assert not awaited.concerned(local(IDS[0]))


def test_a_retry_is_news_when_none_of_the_shown_documents_is_left() -> None:
    awaited = AwaitedData()
    assert awaited.end(refused(*IDS[:10]), is_retry=False)
    assert not awaited.end(refused(*IDS[3:13]), is_retry=True)
    assert awaited.concerned(local(IDS[12])), "it is one of those that are in the way now"
    assert not awaited.end(refused(*IDS[9:19]), is_retry=True)
    assert awaited.end(refused(*IDS[10:20]), is_retry=True)
    assert not awaited.end(refused(*IDS[19:29]), is_retry=True)
    assert awaited.end(LoadFailed([Problem("syntax", "something else")]), is_retry=True)


def test_a_save_is_always_news() -> None:
    awaited = AwaitedData()
    assert awaited.end(refused(*IDS[:10]), is_retry=False)
    assert awaited.end(refused(*IDS[:10]), is_retry=False)


def test_retries_in_vain_come_later_each_time() -> None:
    awaited = AwaitedData()
    awaited.end(refused(IDS[0]), is_retry=False)
    delays = [awaited.delay]
    for _ in range(8):
        awaited.end(refused(IDS[0]), is_retry=True)
        delays.append(awaited.delay)
    assert delays[:3] == [RETRY_SECONDS, 2 * RETRY_SECONDS, 4 * RETRY_SECONDS]
    assert delays[-1] == RETRY_SECONDS_MAX
    awaited.end(refused(IDS[0]), is_retry=False)
    assert awaited.delay == RETRY_SECONDS


def test_a_change_while_it_loads_is_not_missed() -> None:
    for commit in (local, remote):
        awaited = AwaitedData()
        awaited.begin()
        awaited.concerned(commit(IDS[5]))
        awaited.end(refused(IDS[0]), is_retry=False)
        assert awaited.missed(), "it is in the same table"
        awaited.begin()
        awaited.concerned(commit(ELSEWHERE))
        awaited.end(refused(IDS[0]), is_retry=False)
        assert not awaited.missed()
