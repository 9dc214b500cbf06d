"""What callers hear when the database is the trouble, and not their function.

They get a code that stays the same and a sentence without places and secrets; the log has the cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyconvex.errors import RequestRefused

if TYPE_CHECKING:
    from pyconvex.store.persistence import StoreFailed

_AWAY: Final = ("DatabaseUnreachable", "The database of this deployment cannot be reached at the moment")
_BUSY: Final = ("DatabaseBusy", "The database of this deployment is too busy at the moment")
_GOES_BY: Final = {
    "DatabaseUnreachable": _AWAY,
    "DatabasePassword": _AWAY,
    "DatabaseMissing": _AWAY,
    "DatabaseRights": _AWAY,
    "DatabaseBusy": _BUSY,
    "DatabaseLocked": _BUSY,
    "CatalogChanged": _BUSY,
    "DiskFull": ("DiskFull", "The database of this deployment has no space left"),
    "StorageReadOnly": ("StorageReadOnly", "The database of this deployment is read-only at the moment"),
    "SystemTimeoutError": ("SystemTimeoutError", "Your request took too long, waiting for the database included"),
    "StoreClosed": ("ServiceUnavailable", "This deployment is shutting down"),
}
"""By the store's code: what callers get."""


def refusal(error: StoreFailed) -> RequestRefused:
    """503 for what goes by; 500 when trying again would not help, or might do it twice."""
    if error.code in _GOES_BY:
        code, what = _GOES_BY[error.code]
        return RequestRefused(503, code, f"{what}, so nothing was changed. Try again later.")
    if error.code == "CommitUnknown":
        return RequestRefused(
            500,
            error.code,
            "The connection to the database was lost while this was committed, and what became of it is unknown. "
            "Look at the data before you try again.",
        )
    return system_error()


def system_error() -> RequestRefused:
    """Something of ours failed."""
    return RequestRefused(500, "InternalServerError", "Your request couldn't be completed. Try again later.")
