"""What the HTTP layer sees of the deployment it serves."""

from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from pyconvex.clock import Clock
from pyconvex.engine.auth.authentication import Authentication
from pyconvex.engine.environment import Environment, Urls
from pyconvex.engine.live.queries import LiveQueries
from pyconvex.engine.logs.logs import LogBook
from pyconvex.engine.requests.request_journal import RequestJournal
from pyconvex.engine.runner import Runner
from pyconvex.engine.versions import Versions
from pyconvex.files.storage import FileStorage
from pyconvex.settings import Limits
from pyconvex.store.store import Store

from .proxies import Proxies


class Deployment(Struct, kw_only=True):
    """The parts, built once by the host.

    `version` is pyconvex's, `project` the folder. `redact` keeps error texts and log lines from clients, as Convex
    does in production. `push` loads the functions folder as it is now and serves it, or raises `LoadFailed`; None where
    other processes serve the deployment too. `proxies` says whose `X-Forwarded-…` is believed.
    `journal` keeps the requests to HTTP actions, while one develops.
    """

    name: str
    version: str
    project: str
    runner: Runner
    live: LiveQueries
    versions: Versions
    store: Store
    files: FileStorage
    environment: Environment
    logs: LogBook
    limits: Limits
    clock: Clock
    urls: Urls
    admin_key: str
    authentication: Authentication
    redact: bool = False
    proxies: Proxies = field(default_factory=Proxies)
    push: Callable[[], Awaitable[object]] | None = None
    journal: RequestJournal | None = None
