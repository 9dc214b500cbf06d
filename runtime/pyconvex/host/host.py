"""One deployment in one process: its parts, its reloads, its serving."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct, field

from pyconvex import __version__
from pyconvex.clock import Clock, SystemClock
from pyconvex.engine import environment as function_environ
from pyconvex.engine.auth.authentication import Authentication
from pyconvex.engine.daemon_thread import in_daemon_thread
from pyconvex.engine.driver import guard
from pyconvex.engine.driver.determinism import SUBSTITUTES
from pyconvex.engine.driver.time_limit import TimeLimitExceeded, progress
from pyconvex.engine.environment import Environment, Urls
from pyconvex.engine.files.file_sweep import FileSweep
from pyconvex.engine.jobs.scheduler import Scheduler
from pyconvex.engine.live.queries import LiveQueries
from pyconvex.engine.logs.console import captured, function_print
from pyconvex.engine.logs.log_store import LogStore
from pyconvex.engine.logs.logs import LogBook
from pyconvex.engine.requests.request_journal import RequestJournal
from pyconvex.engine.runner import Runner
from pyconvex.engine.secret import deployment_secret
from pyconvex.engine.versions import Versions
from pyconvex.errors import LoadFailed, Place, Problem, StartFailed, UnfitDocument
from pyconvex.http.app import DRAIN_SECONDS, App
from pyconvex.http.deployment import Deployment
from pyconvex.http.proxies import Proxies
from pyconvex.loading.changes import Changes, changes_between
from pyconvex.loading.loader import Loaded, Loader
from pyconvex.loading.registry import Registry, empty_registry
from pyconvex.loading.source import LIMIT_NAME
from pyconvex.schema import Schema
from pyconvex.settings import Limits, Settings
from pyconvex.store.deployments import Deployments
from pyconvex.store.schema.activation import Also
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import SchemaChange, SchemaRefused, Store
from pyconvex.sync.endpoint import SyncEndpoint
from pyconvex.sync.services import Services as SyncServices

from .admin_key import admin_key, instance_name, new_admin_key, shared_admin_key
from .code import code_digest
from .database import SQLITE, is_shared, persistence_for, shown
from .files import shown as storage_shown
from .files import storage_for
from .lock import Running, announced, deployment_lock
from .ports import Sockets, bind_sockets

YOUNG_OBJECTS = (10_000, 20, 50)
"""When the garbage collector looks: calls that wait for one COMMIT hold thousands of objects, none of them garbage."""
COLLECT_AFTER_SECONDS = 1.0
"""How long after a reload the retired version's modules are collected, if nothing is running then."""


class HostOptions(Struct, frozen=True, kw_only=True):
    """What a deployment is made of.

    `project` is the folder that holds everything; `functions` and `data` may be relative to it. With `memory` nothing
    is kept on disk and no lock is taken, whatever `database` and `storage` say (as the settings of these names).
    `redact` keeps error texts and log lines from clients. Without `announced`, `.pyconvex/server.json` does not say
    that it is served. With `journal` the last requests to HTTP actions are kept. What is in progress when serving ends
    has `patience_seconds` to end by itself. `cloud_url` and `site_url` are what functions take for the deployment's
    addresses, when clients do not reach it where it listens. `trusted_proxies` and `allowed_hosts` are the settings of
    these names.
    """

    project: Path
    functions: Path = Path("convex")
    data: Path = Path(".pyconvex")
    database: str = SQLITE
    storage: str | None = None
    memory: bool = False
    redact: bool = False
    announced: bool = True
    journal: bool = False
    patience_seconds: float = DRAIN_SECONDS
    cloud_url: str | None = None
    site_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)

    def __repr__(self) -> str:
        return f"HostOptions({str(self.project)!r})"  # the database's address may have a password

    @property
    def functions_folder(self) -> Path:
        return self.project / self.functions

    @property
    def data_folder(self) -> Path:
        return self.project / self.data

    @property
    def shared(self) -> bool:
        """Whether other processes may be part of the same deployment."""
        return not self.memory and is_shared(self.database)

    @property
    def database_shown(self) -> str:
        """What keeps the documents, for people; empty when the data folder or memory does."""
        return "" if self.memory else shown(self.database)

    @property
    def storage_shown(self) -> str:
        """What keeps the stored files, for people; empty when the data folder or memory does."""
        return "" if self.memory else storage_shown(self.storage)

    @classmethod
    def from_settings(cls, project: Path, settings: Settings) -> "HostOptions":
        return cls(
            project=project,
            functions=Path(settings.functions),
            data=Path(settings.data),
            database=settings.database,
            storage=settings.storage,
            trusted_proxies=settings.trusted_proxies,
            allowed_hosts=settings.allowed_hosts,
            limits=settings.limits,
        )


class Reloaded(Struct, frozen=True, kw_only=True):
    """A version that serves now, and what is different from the one before."""

    registry: Registry
    changes: Changes
    schema: SchemaChange
    warnings: tuple[Problem, ...]
    generated: Mapping[str, str]
    """Texts of `_generated` by file name, for writing to disk."""
    outside: frozenset[Path]
    """Files of the project outside the functions folder that were imported; they are not reloaded."""
    took_ms: float


class Host:
    """A deployment that is open. Use `Host.open`."""

    def __init__(self, options: HostOptions, deployment: Deployment) -> None:
        self.options = options
        self.deployment = deployment
        self.sync = SyncEndpoint(
            SyncServices(
                runner=deployment.runner,
                live=deployment.live,
                authentication=deployment.authentication,
                clock=deployment.clock,
                redact=deployment.redact,
            )
        )
        self.app = App(deployment, self.sync)
        self.runner = deployment.runner
        self.versions = deployment.versions
        self.environment = deployment.environment
        self.variables_read: frozenset[str] = frozenset()
        """The variables that the modules which serve now have read while they were loaded."""
        self.logs = deployment.logs
        self.store = deployment.store
        self.urls = deployment.urls
        self.admin_key = deployment.admin_key
        self.deployments = Deployments(deployment.store, self._deployed) if options.shared else None
        """Where other processes use the same database: whose code is the newest."""
        self.scheduler = Scheduler(deployment.runner, eligible=self._runs_jobs)
        """Runs jobs while the deployment is served, from the first version of the functions on."""
        self._sweep = FileSweep(deployment.runner.services)
        self._loader = Loader(
            options.functions_folder,
            root=options.project,
            builtins={"print": function_print, LIMIT_NAME: TimeLimitExceeded},
            substitutes=SUBSTITUTES,
            limits=options.limits,
        )
        self._loading: asyncio.Task[Reloaded] | None = None
        self._next: asyncio.Task[Reloaded] | None = None
        if options.announced:
            deployment.push = self.reload
        self._collection: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, options: HostOptions) -> AsyncGenerator["Host", None]:
        """Open the deployment for as long as the block runs. No functions are loaded yet.

        Raises `StartFailed`: `DeploymentInUse` when another process has it, `DiskUnusable`.
        """
        guard.install([options.project])
        function_environ.install()
        async with AsyncExitStack() as closing:
            host = cls(options, await _build(options, closing))
            closing.enter_context(captured())
            if not options.memory:
                collect_seldom()
            closing.push_async_callback(host._end)
            yield host

    @property
    def registry(self) -> Registry:
        """The version that serves now."""
        return self.versions.current

    async def reload(self) -> Reloaded:
        """Load the functions folder and serve what it says from the next request on.

        Calls in progress end on their version. Reloads run one after another, each from what is on disk when it
        begins; those asked for while one waits for its turn are one.

        Raises `LoadFailed` with every problem found; the version before goes on serving.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(self._reload_after(self._loading))
        return await asyncio.shield(self._next)

    def bind(self, host: str = "127.0.0.1", port: int | None = None, site_port: int | None = None) -> Sockets:
        """Bind this deployment's addresses (see `bind_sockets`), and remember the ports in its data folder."""
        remembered = None if self.options.memory else self.options.data_folder / "ports.json"
        sockets = bind_sockets(host, port, site_port, remembered=remembered)
        self._use(sockets)
        return sockets

    async def serve(self, sockets: Sockets, shutdown: asyncio.Event) -> None:
        """Serve on `sockets` until `shutdown` is set; `.pyconvex/server.json` says so meanwhile."""
        from .server import serve  # Hypercorn costs 140 ms, which commands that only look need not pay

        self._use(sockets)
        self.scheduler.start()
        self._sweep.start()
        self.app.lifespans.start(self.registry)
        running = Running(os.getpid(), sockets.api_url, sockets.site_url, __version__)
        silent = self.options.memory or not self.options.announced
        with nullcontext() if silent else announced(self.options.data_folder, running):
            await serve(
                self.app,
                sockets,
                shutdown=shutdown,
                close=self._close,
                shared=not self.options.announced,
                limits=self.options.limits,
            )

    async def _close(self) -> None:
        """Let requests and jobs end, and take no more."""
        patience = self.options.patience_seconds
        await asyncio.gather(self.app.close(patience), self.sync.close(patience), self.scheduler.close(patience))

    def _use(self, sockets: Sockets) -> None:
        self.urls.cloud = self.options.cloud_url or sockets.api_url
        self.urls.site = self.options.site_url or sockets.site_url
        self.app.site_port = sockets.site_port

    async def _reload_after(self, previous: asyncio.Task[Reloaded] | None) -> Reloaded:
        if previous is not None:
            await asyncio.wait([previous])
        self._loading, self._next = self._next, None
        began = time.perf_counter()
        with self.environment.visible() as variables_read:
            loaded = await in_daemon_thread(self._loader.load, "pyconvex-reload")
        deployments, code = self.deployments, ""
        if deployments is not None:
            code = await in_daemon_thread(lambda: code_digest(loaded, self.options.project), "pyconvex-reload")
        schema = await self._activate(loaded, None if deployments is None else deployments.push(code))
        changes = changes_between(self.registry, loaded.registry)
        self.versions.swap(loaded.registry, self.app.lifespans.entered(loaded.registry, loaded.retire))
        self.variables_read = frozenset(variables_read)
        self.deployment.live.reloaded()
        if deployments is not None:
            await deployments.serve(code)
        self.scheduler.wake()
        self._collect_later()
        return Reloaded(
            registry=loaded.registry,
            changes=changes,
            schema=schema,
            warnings=loaded.warnings,
            generated=loaded.generated,
            outside=loaded.outside,
            took_ms=(time.perf_counter() - began) * 1000,
        )

    async def _activate(self, loaded: Loaded, also: Also | None) -> SchemaChange:
        try:
            return await self.store.activate(loaded.registry.schema, also)
        except SchemaRefused as error:
            loaded.retire()
            place, documents = self._declared_at(loaded.registry.schema, error.violations), error.violations
            problem = Problem(
                error.code, error.message, place, hint=error.hint, remedy=error.remedy, documents=documents
            )
            raise LoadFailed([problem], loaded.generated) from error
        except BaseException:
            loaded.retire()
            raise

    def _declared_at(self, schema: Schema, documents: Sequence[UnfitDocument]) -> Place | None:
        """Where the first of the tables of these documents is declared."""
        places = [schema.tables[each.table].place for each in documents if each.table in schema.tables]
        return places[0].relative_to(self.options.project.absolute()) if places else None

    def _runs_jobs(self) -> bool:
        return self.deployments is None or self.deployments.is_newest

    def _deployed(self) -> None:
        self.scheduler.wake()

    def _collect_later(self) -> None:
        if self._collection is not None:
            self._collection.cancel()
        self._collection = asyncio.get_running_loop().call_later(COLLECT_AFTER_SECONDS, self._collect)

    def _collect(self) -> None:
        if self.app.busy:
            self._collect_later()
        else:
            gc.collect()

    async def _end(self) -> None:
        if self._collection is not None:
            self._collection.cancel()
        reloads = [each for each in (self._loading, self._next) if each is not None]
        for reload in reloads:
            reload.cancel()
        if reloads:
            await asyncio.wait(reloads)
        await self._sweep.close()
        if self.deployments is not None:
            await self.deployments.close()
        await asyncio.gather(self.app.close(), self.sync.close(), self.scheduler.close())


def collect_seldom() -> None:
    """For a process that is one deployment: the garbage collector has little to do there, and much to look at."""
    gc.freeze()  # what lives as long as the process need not be looked at after every reload
    gc.set_threshold(*YOUNG_OBJECTS)


async def _build(options: HostOptions, closing: AsyncExitStack) -> Deployment:
    folder = options.data_folder
    try:
        if options.memory:
            folder = Path(closing.enter_context(TemporaryDirectory(prefix="pyconvex-")))
        else:
            closing.enter_context(deployment_lock(folder, shared=options.shared))
        return await _parts(options, folder, closing)
    except OSError as error:
        raise StartFailed("DiskUnusable", f"cannot keep data in {folder}: {error.strerror or error}") from error


async def _parts(options: HostOptions, folder: Path, closing: AsyncExitStack) -> Deployment:
    limits, clock = options.limits, options.clock
    persistence = (
        SqlitePersistence(None, clock=clock, expired=progress)
        if options.memory
        else persistence_for(options.database, project=options.project, folder=folder, clock=clock)
    )
    store = Store(persistence, limits, clock)
    await store.open()
    closing.push_async_callback(store.close)
    logs = LogBook(clock, None if options.memory else LogStore(folder / "logs", limits.log_history_bytes))
    closing.callback(logs.close)
    journal = None
    if options.journal:
        journal = RequestJournal(None if options.memory else folder / "requests.sqlite3", limits)
        closing.callback(journal.close)
    urls = Urls()
    environment = Environment(store, limits, urls)
    await environment.open()
    secret, shared_name = await deployment_secret(store, clock, instance_name(options.project))
    files = await storage_for(
        None if options.memory else options.storage,
        project=options.project,
        folder=folder,
        secret=secret,
        clock=clock,
        shared=options.shared,
    )
    versions = Versions(empty_registry(options.project, options.functions_folder))
    name = shared_name if options.shared else instance_name(options.project)
    key = _admin_key(options, folder / "admin_key", name, secret)
    runner = Runner(store, files, environment, logs, limits, clock, versions, urls, secret)
    closing.push_async_callback(runner.services.removals.close)
    live = LiveQueries(runner, redact=options.redact)
    closing.push_async_callback(live.close)
    return Deployment(
        name=name,
        version=__version__,
        project=options.project.name,
        runner=runner,
        live=live,
        versions=versions,
        store=store,
        files=files,
        environment=environment,
        logs=logs,
        limits=limits,
        clock=clock,
        urls=urls,
        admin_key=key,
        authentication=Authentication(key, versions, clock, redact=options.redact),
        redact=options.redact,
        proxies=Proxies(options.trusted_proxies, options.allowed_hosts),
        journal=journal,
    )


def _admin_key(options: HostOptions, file: Path, name: str, secret: bytes) -> str:
    if options.memory:
        return new_admin_key(name, options.clock)
    return shared_admin_key(file, name, secret) if options.shared else admin_key(file, name, options.clock)
