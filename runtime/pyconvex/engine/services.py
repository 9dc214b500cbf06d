"""What every execution of one deployment shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.engine.cursors import Cursors
    from pyconvex.engine.environment import Environment, Urls
    from pyconvex.engine.file_removals import FileRemovals
    from pyconvex.engine.logs import LogBook
    from pyconvex.engine.outstanding import Outstanding
    from pyconvex.engine.upload_tokens import UploadTokens
    from pyconvex.files.storage import FileStorage
    from pyconvex.settings import Limits
    from pyconvex.store.store import Store


class Services(Struct, frozen=True):
    store: Store
    files: FileStorage
    environment: Environment
    logs: LogBook
    limits: Limits
    clock: Clock
    urls: Urls
    cursors: Cursors
    outstanding: Outstanding
    uploads: UploadTokens
    removals: FileRemovals
