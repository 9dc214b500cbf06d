"""What the HTTP layer sees of the deployment it serves."""

from dataclasses import dataclass

from ..clock import Clock
from ..engine.environment import Environment, Urls
from ..engine.logs import LogBook
from ..engine.runner import Runner
from ..engine.versions import Versions
from ..files.storage import FileStorage
from ..settings import Limits
from ..store.store import Store


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
