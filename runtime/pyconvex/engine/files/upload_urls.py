"""Upload URLs: of a mutation, they are good if it was committed; of an action, which has nothing to commit, at once.

A mutation writes the nonce of each URL's token down, as the id of a document of `_upload_urls`. So a URL that got out
of a mutation that failed, in its error or in a log line, is worth nothing, as is one of an attempt that met a conflict
or of a failed call inside a mutation. Whoever was given one by a mutation's result comes after its commit, so a
snapshot taken when he comes shows the document, in every process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyconvex.engine.files.upload_tokens import VALID_SECONDS, not_valid
from pyconvex.store.forgetting import forget_older
from pyconvex.store.schema.catalog import EMPTY_CATALOG, UPLOAD_URLS
from pyconvex.values.ids import DocumentId
from pyconvex.values.size import document_size

if TYPE_CHECKING:
    from pyconvex.engine.services import Services
    from pyconvex.store.transaction import Transaction

KEPT_MS: Final = 2 * VALID_SECONDS * 1000
"""An hour more than they are good for: the clocks of several machines differ."""
FORGOTTEN_AT_ONCE: Final = 256

_NUMBER: Final = EMPTY_CATALOG.system(UPLOAD_URLS).number
_ROW_BYTES: Final = document_size({})


async def upload_url_of_mutation(services: Services, transaction: Transaction) -> str:
    """A URL that is good for an hour from now, once `transaction` is committed.

    Raises `LimitExceeded`: it counts as a write, so that no function makes them without end.
    """
    nonce = services.uploads.nonce()
    transaction.usage.write(_ROW_BYTES)
    transaction.insert_twin(UPLOAD_URLS, DocumentId(_NUMBER, nonce), {})
    return _url(services, services.uploads.token(nonce, bound=True))


async def upload_url_of_action(services: Services) -> str:
    """A URL that is good for an hour from now, whatever becomes of the action."""
    return _url(services, services.uploads.token(services.uploads.nonce(), bound=False))


async def check_upload(services: Services, token: str) -> None:
    """Whether files may be uploaded with `token`, the one in an upload URL.

    Raises:
        RequestRefused: 401 `StorageTokenInvalid`, also where its mutation was not committed, `StorageTokenExpired`.
        StoreFailed: the database cannot be read now.
    """
    read = services.uploads.read(token)
    if not read.bound:
        return
    async with services.store.snapshot() as transaction:
        if await transaction.get(DocumentId(_NUMBER, read.nonce)) is None:
            raise not_valid()


async def forget_expired(services: Services) -> None:
    """Delete the documents of the URLs that have expired.

    Raises `StoreFailed`: it could not be done.
    """
    before = services.clock.now_ms() - KEPT_MS
    while await forget_older(services.store, UPLOAD_URLS, before, at_once=FORGOTTEN_AT_ONCE):
        pass


def _url(services: Services, token: str) -> str:
    return f"{services.urls.cloud}/api/storage/upload?token={token}"
