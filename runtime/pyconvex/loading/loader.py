"""From a folder of source to a registry that can be served, or to everything that is wrong with it."""

import gc
import linecache
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, cast

from msgspec import Struct, field

from pyconvex.errors import LoadFailed, Place, Problem, PyconvexError
from pyconvex.functions.auth_config import NO_AUTH, AuthConfig
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.loading.analyzer import Analysis, ModuleReport, is_function_module, path_problems, spelling_problems
from pyconvex.loading.codegen.generated import api_text, server_text
from pyconvex.loading.codegen.later import Later
from pyconvex.loading.deadline import LoadInterrupted, Overdue, no_threads_from, run_within
from pyconvex.loading.explain import Explainer
from pyconvex.loading.folder import GENERATED, Folder, FolderScan
from pyconvex.loading.frames import Project
from pyconvex.loading.project import Outside, project_modules
from pyconvex.loading.registry import Registry
from pyconvex.loading.source import LIMIT_NAME, Source, compile_generated
from pyconvex.loading.special import auth_of, misnamed_http, pending_routes, router_of, schema_of
from pyconvex.loading.version import ModuleFailed, Version
from pyconvex.schema import EMPTY_SCHEMA, Schema
from pyconvex.settings import Limits

if TYPE_CHECKING:
    from pyconvex.loading.codegen.texts import GeneratedTexts

_NOTHING: Mapping[str, object] = MappingProxyType({})
_NO_TEXTS: Mapping[str, str] = MappingProxyType({})
_NO_SUBSTITUTES: Mapping[str, ModuleType] = MappingProxyType({})


class Loaded(Struct, frozen=True):
    """A version that can be served.

    `generated` are the texts of `_generated/`, by file name, made when they are asked for; `outside` the project's
    files beyond the functions folder that this process has imported, which a load does not renew. Call `retire` when
    the last call of the version has ended: its modules then leave the import system, and are freed with the last
    reference.
    """

    registry: Registry
    warnings: tuple[Problem, ...]
    generated: Mapping[str, str]
    outside: frozenset[Path]
    retire: Callable[[], None]


class Loader:
    """Loads the functions folder, again and again.

    Args:
        folder: such as `my-app/convex`.
        root: the project's folder, somewhere above it; by default the one that holds it.
        builtins: names added to the builtins of user modules (`print`, `__pyconvex_limit__`).
        substitutes: modules that user modules get instead of those of the same name (`time`, `random`).
        limits: `load_seconds` is how long the top level of all modules may run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        builtins: Mapping[str, object] = _NOTHING,
        substitutes: Mapping[str, ModuleType] = _NO_SUBSTITUTES,
        limits: Limits | None = None,
        root: Path | None = None,
    ) -> None:
        folder = folder.absolute()
        self._project = Project(str(root.absolute() if root else folder.parent), str(folder))
        self._folder = Folder(folder, self._project.name)
        limit = (*_as_tuple(builtins.get(LIMIT_NAME, ())), LoadInterrupted)
        self._builtins = {**builtins, LIMIT_NAME: limit}
        self._substitutes = substitutes
        self._seconds = (limits or Limits()).load_seconds
        self._modules = project_modules(self._project.root, self._project.package, limit)
        self._outside = Outside(self._project.root, self._project.folder)
        self._generated: dict[str, Source] = {}
        self._lines = _LineCache()
        self._hashes: Mapping[str, str] = {}
        self._reports: Mapping[str, ModuleReport] = {}
        self.sources: Mapping[str, str] = MappingProxyType({})
        """Texts of the last load, good or bad, by file name relative to the project; for `excerpt`."""

    def load(self) -> Loaded:
        """Load the folder as it is now. Blocks for up to `load_seconds`: call it in a thread.

        Raises:
            LoadFailed: it cannot be served. It has every problem found; what was served can go on.
        """
        attempt = _Attempt(self._folder.scan())
        sources = attempt.scan.sources.values()
        self.sources = MappingProxyType({source.file: source.text for source in sources})
        attempt.problems += attempt.scan.problems
        attempt.problems += [source.problem for source in sources if source.problem is not None]
        self._lines.show(sources)
        try:
            with _without_collection():
                return run_within(self._seconds, lambda: self._load(attempt))
        except BaseException as error:
            self._lines.restore()
            if attempt.version is not None:
                attempt.version.retire()
                attempt.version = None
            if isinstance(error, Overdue):
                attempt.problems.append(self._overdue(error))
                raise self._failure(attempt) from None
            raise error.with_traceback(None) from None  # whoever keeps the error does not keep the modules

    def _load(self, attempt: "_Attempt") -> Loaded:
        version = attempt.version = self._version(attempt)
        version.explain = Explainer(version, self._project).explain
        with no_threads_from(self._project.folder):
            self._run_schema(attempt, version)
            self._run_modules(attempt, version)
        version.explain = None
        analysis = self._analyse(attempt, version)
        router = self._router(attempt, version)
        auth = self._auth(attempt, version)
        if attempt.problems:
            raise self._failure(attempt)
        self._remember(attempt, version, analysis)
        return self._loaded(attempt, version, analysis, router, auth)

    def _version(self, attempt: "_Attempt") -> Version:
        generated = {
            "api": lambda: self._compiled("api.py", api_text()),
            "server": lambda: self._compiled("server.py", server_text()),
            "data_model": lambda: self._compiled(
                "data_model.py", self._texts.of_tables(attempt.settled_schema())["data_model.py"]
            ),
        }
        return Version(
            self._project.package,
            self._project.folder,
            attempt.scan,
            generated,
            self._modules,
            self._builtins,
            self._substitutes,
        )

    def _compiled(self, name: str, text: str) -> Source:
        known = self._generated.get(name)
        if known is None or known.text != text:
            file = f"{GENERATED}/{name}"
            known = compile_generated(text, f"{self._project.folder}/{file}", f"{self._project.name}/{file}")
            self._generated[name] = known
        return known

    def _run_schema(self, attempt: "_Attempt", version: Version) -> None:
        """First, because the types of ids and documents that other modules import come from it."""
        source = attempt.scan.sources.get("schema")
        if source is None:
            attempt.schema = EMPTY_SCHEMA
            attempt.has_sound_schema = True
            return
        module = attempt.module("schema")
        schema, problems = (None, []) if module is None else schema_of(module, source)
        if schema is None:
            attempt.problems += problems
            version.forbid(f"{GENERATED}.data_model")
            return
        attempt.schema = schema
        problems = [self._relative(problem) for problem in schema.problems()]
        attempt.problems += problems
        attempt.has_sound_schema = not problems

    def _run_modules(self, attempt: "_Attempt", version: Version) -> None:
        """In alphabetical order, `http` last. The order decides which circular imports work, so it is fixed."""
        modules = [path for path in attempt.scan.sources if is_function_module(path) and path != "http"]
        if "http" in attempt.scan.sources:
            modules.append("http")
        for path in modules:
            attempt.module(path)

    def _analyse(self, attempt: "_Attempt", version: Version) -> Analysis:
        analysis = Analysis()
        attempt.problems += spelling_problems(attempt.scan.sources)
        dirty = self._dirty(attempt, version)
        for path, source in attempt.scan.sources.items():
            name = version.full_name(path)
            module = version.modules.get(name)
            if module is not None and is_function_module(path):
                analysis.add(path, module, source, self._project, None if name in dirty else self._reports.get(path))
        attempt.problems += analysis.problems
        attempt.problems += path_problems(analysis.functions.values(), attempt.scan.sources)
        return analysis

    def _dirty(self, attempt: "_Attempt", version: Version) -> set[str]:
        """Full names of the modules whose text differs from the last good load, or that import such a module."""
        hashes = attempt.hashes(version)
        dirty = {version.full_name(path) for path, sha256 in hashes.items() if sha256 != self._hashes.get(path)}
        importers: dict[str, list[str]] = {}
        for importer, imported in version.imports:
            importers.setdefault(imported, []).append(importer)
        waiting = list(dirty)
        while waiting:
            found = [name for name in importers.get(waiting.pop(), ()) if name not in dirty]
            dirty.update(found)
            waiting += found
        return dirty

    def _remember(self, attempt: "_Attempt", version: Version, analysis: Analysis) -> None:
        self._hashes = attempt.hashes(version)
        self._reports = analysis.reports

    def _router(self, attempt: "_Attempt", version: Version) -> HttpRouter | None:
        source = attempt.scan.sources.get("http")
        module = version.modules.get(version.full_name("http"))
        if source is None or module is None:
            return None
        router, problems = router_of(module, source)
        attempt.problems += problems
        if router is not None:
            attempt.problems += pending_routes(router, self._project)
            router.freeze()
        return router

    def _auth(self, attempt: "_Attempt", version: Version) -> AuthConfig:
        source = attempt.scan.sources.get("auth_config")
        module = version.modules.get(version.full_name("auth_config"))
        if source is None or module is None:
            return NO_AUTH
        auth, problems = auth_of(module, source)
        attempt.problems += problems
        return auth or NO_AUTH

    def _loaded(
        self,
        attempt: "_Attempt",
        version: Version,
        analysis: Analysis,
        router: HttpRouter | None,
        auth: AuthConfig,
    ) -> Loaded:
        scan = attempt.scan
        modules = {path: version.modules.get(version.full_name(path)) for path in scan.sources}
        handlers = analysis.handlers
        if router is not None:
            _name_applications(router, modules["http"], handlers)
        registry = Registry(
            version=version.number,
            functions=MappingProxyType(analysis.functions),
            router=router,
            auth=auth,
            schema=attempt.settled_schema(),
            root=Path(self._project.root),
            folder=Path(self._project.folder),
            modules=MappingProxyType({path: module for path, module in modules.items() if module is not None}),
            sources=self.sources,
            hashes=MappingProxyType(self._hashes),
            handlers=MappingProxyType(handlers),
        )
        texts = Later(lambda: self._texts.of(registry.functions, registry.schema))
        return Loaded(registry, tuple(_warnings(scan)), texts, self._outside.files(), version.retire)

    @cached_property
    def _texts(self) -> "GeneratedTexts":
        from pyconvex.loading.codegen.texts import GeneratedTexts  # and what makes them: 8 modules

        return GeneratedTexts()

    def _overdue(self, overdue: Overdue) -> Problem:
        place = next((Place(file, line) for file, line in overdue.frames if self._project.holds(file)), None)
        place = self._project.place(place)
        what = f"`{place.file}` was" if place else "the modules were"
        return Problem(
            "LoadTimeout",
            f"{what} still running its top level after {self._seconds:g} s",
            place=place,
            hint="modules run on every save: move the work into a function",
        )

    def _failure(self, attempt: "_Attempt") -> LoadFailed:
        """Every problem once, with the texts of the files outside the folder that they point to."""
        problems: dict[object, Problem] = {}
        for problem in attempt.problems:
            problems.setdefault((problem.code, problem.message, problem.place), problem)
        outside = {
            problem.place.file
            for problem in problems.values()
            if problem.place and problem.place.file not in self.sources
        }
        self.sources = MappingProxyType({**self.sources, **dict(_read(self._project.root, outside))})
        return LoadFailed(tuple(problems.values()), self._texts_of_tables(attempt))

    def _texts_of_tables(self, attempt: "_Attempt") -> Mapping[str, str]:
        if not attempt.has_sound_schema:
            return _NO_TEXTS
        schema = attempt.settled_schema()
        return Later(lambda: self._texts.of_tables(schema))

    def _relative(self, problem: Problem) -> Problem:
        also = tuple(place for place in map(self._project.place, problem.also) if place)
        return replace(problem, place=self._project.place(problem.place), also=also)


class _Attempt(Struct):
    """One load: what it has found so far, also when it is cut short."""

    scan: FolderScan
    problems: list[Problem] = field(default_factory=list[Problem])
    version: Version | None = None
    schema: Schema | None = None
    has_sound_schema: bool = False

    def module(self, path: str) -> ModuleType | None:
        """The module of this path, run now; None when it fails, which is a problem then."""
        assert self.version is not None, "modules are run in a version"
        try:
            return self.version.load(self.version.full_name(path))
        except ModuleFailed as failed:
            self.problems += failed.problems
            return None

    def settled_schema(self) -> Schema:
        """The schema, once `schema.py` has run.

        Raises:
            PyconvexError: it runs just now, and imports what is generated from it.
        """
        if self.schema is None:
            raise PyconvexError(
                "CircularImport",
                "the types in `_generated/data_model.py` come from the schema, which is still being loaded",
                hint="describe tables with validators only: `v.id(...)`, not `Id`",
            )
        return self.schema

    def hashes(self, version: Version) -> dict[str, str]:
        """SHA-256 of every text that annotations may depend on, by module path."""
        hashes = {path: source.sha256 for path, source in self.scan.sources.items()}
        data_model = f"{GENERATED}/data_model"
        made = version.made.get(version.full_name(data_model))
        if made is not None:
            hashes[data_model] = made.sha256
        return hashes


class _LineCache:
    """What `linecache` shows of the user's files: `traceback` and `inspect` read them there, by file name only."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def show(self, sources: Iterable[Source]) -> None:
        self._before = {}
        for source in sources:
            if self._shown.get(source.path) != source.text:
                self._before[source.path] = self._shown.get(source.path, "")
                self._show(source.path, source.text)

    def restore(self) -> None:
        """Go back to before the last `show`: the version that was served then goes on."""
        for path, text in self._before.items():
            self._show(path, text)

    def _show(self, path: str, text: str) -> None:
        self._shown[path] = text
        linecache.cache[path] = (len(text), None, [f"{line}\n" for line in text.split("\n")], path)


@contextmanager
def _without_collection() -> Generator[None]:
    """No garbage collection meanwhile: nearly all of a new version survives it, so that looking through it, and now
    and then through everything else, only holds up the loop (a third of the time, measured with 500 modules)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _as_tuple(limit: object) -> tuple[type[BaseException], ...]:
    return cast("tuple[type[BaseException], ...]", limit if isinstance(limit, tuple) else (limit,))


def _name_applications(router: HttpRouter, http: ModuleType | None, handlers: dict[int, str]) -> None:
    """Name the mounted applications by the variable of `http.py` that holds them."""
    mounted = {id(route.handler) for route in router.routes if id(route.handler) not in handlers}
    for name, value in vars(http).items() if http else ():
        if id(value) in mounted:
            handlers.setdefault(id(value), f"http:{name}")


def _warnings(scan: FolderScan) -> Iterator[Problem]:
    yield from scan.warnings
    yield from misnamed_http(scan.sources)
    for source in scan.sources.values():
        yield from source.warnings


def _read(root: str, files: Iterable[str]) -> Iterator[tuple[str, str]]:
    for file in files:
        with suppress(OSError, UnicodeDecodeError):
            yield file, (Path(root) / file).read_text("utf-8")
