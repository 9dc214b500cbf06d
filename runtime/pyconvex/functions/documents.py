"""Ids, and the documents of system tables, as types."""

from typing import ClassVar, Literal, NotRequired, TypeAlias, TypedDict


class TableId(str):
    """The base of `Id.users` and its like in `_generated/data_model.py`: a `str` at run time.

    `Id.users(text)` says that a text is an id of that table; `ctx.db.normalize_id("users", text)` finds out.
    """

    __slots__ = ()
    __convex_table__: ClassVar[str]


class StorageId(str):
    """The id of a stored file; a field of this type is `v.id("_storage")`."""

    __slots__ = ()
    __convex_table__: ClassVar[str] = "_storage"


class ScheduledFunctionId(str):
    """The id of a scheduled function; a field of this type is `v.id("_scheduled_functions")`."""

    __slots__ = ()
    __convex_table__: ClassVar[str] = "_scheduled_functions"


class StoredFile(TypedDict):
    """A document of `_storage`; `sha256` is in base64, `size` in bytes."""

    _id: StorageId
    _creationTime: float
    sha256: str
    size: float
    contentType: NotRequired[str | None]


class FileMetadata(TypedDict):
    """What `ctx.storage.get_metadata` gives; `sha256` is in hex, `size` in bytes."""

    storageId: StorageId
    sha256: str
    size: float
    contentType: str | None


class PlainState(TypedDict):
    """The state of a job that waits, runs, succeeded or was canceled."""

    kind: Literal["pending", "inProgress", "success", "canceled"]


class FailedState(TypedDict):
    """The state of a job that failed."""

    kind: Literal["failed"]
    error: str


JobState: TypeAlias = PlainState | FailedState


class ScheduledFunction(TypedDict):
    """A document of `_scheduled_functions`; times are milliseconds since 1970."""

    _id: ScheduledFunctionId
    _creationTime: float
    name: str
    args: list[dict[str, object]]
    scheduledTime: float
    completedTime: NotRequired[float]
    state: JobState
