"""What every execution of one deployment shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.engine.database.cursors import Cursors
    from pyconvex.engine.deadlines import Deadlines
    from pyconvex.engine.environment import Environment, Urls
    from pyconvex.engine.files.file_removals import FileRemovals
    from pyconvex.engine.files.upload_tokens import UploadTokens
    from pyconvex.engine.jobs.outstanding import Outstanding
    from pyconvex.engine.logs.logs import LogBook
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
    deadlines: Deadlines
