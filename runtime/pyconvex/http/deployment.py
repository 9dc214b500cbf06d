"""What the HTTP layer sees of the deployment it serves."""

from dataclasses import dataclass

from pyconvex.clock import Clock
from pyconvex.engine.environment import Environment, Urls
from pyconvex.engine.logs import LogBook
from pyconvex.engine.runner import Runner
from pyconvex.engine.versions import Versions
from pyconvex.files.storage import FileStorage
from pyconvex.settings import Limits
from pyconvex.store.store import Store


@dataclass(slots=True, kw_only=True)
class Deployment:
    """The parts, built once by the host.

    `version` is pyconvex's, `project` the folder. `redact` keeps error texts and log lines from clients, as Convex
    does in production.
    """

    name: str
    version: str
    project: str
    runner: Runner
    versions: Versions
    store: Store
    files: FileStorage
    environment: Environment
    logs: LogBook
    limits: Limits
    clock: Clock
    urls: Urls
    admin_key: str
    redact: bool = False
