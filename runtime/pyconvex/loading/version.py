"""One version of the user's folder as a private package: its modules, its imports, its end."""

import builtins
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from pyconvex.errors import Problem
from pyconvex.functions.function import RegisteredFunction
from pyconvex.loading.deadline import LoadInterrupted
from pyconvex.loading.folder import GENERATED, FolderScan
from pyconvex.loading.further import further_errors
from pyconvex.loading.project import PRIVATE, ProjectModules
from pyconvex.loading.source import LIMIT_NAME, Source

if TYPE_CHECKING:
    from importlib.abc import Loader

_NUMBERS = count(1)


class ModuleFailed(ImportError):
    """A module of this version cannot be imported. `problems` say why; none when that is told elsewhere."""

    def __init__(self, name: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(f"{name} cannot be imported", name=name)
        self.problems = problems


class Version:
    """The modules of one version, under a package name that no other version has.

    The modules get an `__import__` of their own, so whatever they import by a relative name, or as
    `convex.messages`, comes from this version for as long as it lives, also inside handlers. They stay in
    `sys.modules` meanwhile, where dataclasses, type hints and pickle look for them.
    """

    def __init__(
        self,
        folder_name: str,
        folder_path: str,
        scan: FolderScan,
        generated: Mapping[str, Callable[[], Source]],
        project: ProjectModules,
        given: Mapping[str, object],
        substitutes: Mapping[str, ModuleType],
    ) -> None:
        self.number = next(_NUMBERS)
        self.package = f"{PRIVATE}{self.number}"
        self.modules: dict[str, ModuleType] = {}
        self.imports: set[tuple[str, str]] = set()
        """Who imported whom while the version was loaded, by full names."""
        self.explain: Callable[[Source, BaseException], Problem] | None = None
        """Set while the version is loaded: says why a module failed. Whoever imports that module gets ModuleFailed."""
        self.made: dict[str, Source] = {}
        """The generated modules that were asked for, by full name."""
        self._folder_name = folder_name
        self._folder_path = folder_path
        self._sources = dict(_full_names(self.package, scan.sources))
        self._generated = {f"{self.package}.{GENERATED}.{name}": make for name, make in generated.items()}
        self._packages = {self.package, f"{self.package}.{GENERATED}"}
        self._packages |= {f"{self.package}.{path.replace('/', '.')}" for path in scan.packages}
        self._names = {name.split(".")[1] for name in (*self._sources, *self._packages) if "." in name}
        self._foreign: set[str] = set()
        """Names that are imported as anywhere else, found so far."""
        self._relative: dict[tuple[str, str, int], str] = {}
        self._running: set[str] = set()
        self._is_retired = False
        self._failed: dict[str, Sequence[Problem]] = {}
        self._lock = threading.RLock()
        self._project = project
        self._substitutes = substitutes
        self._loader = _VersionLoader(self)
        self._builtins: dict[str, object] = {
            LIMIT_NAME: (),
            **vars(builtins),
            **given,
            "__import__": self.import_for_module,
        }
        sys.meta_path.insert(0, self._loader)

    def full_name(self, module: str) -> str:
        """`admin/reports` as this version's package names it."""
        return f"{self.package}.{module.replace('/', '.')}"

    def is_loading(self, name: str) -> bool:
        """Whether the module of this full name has begun to run and has not finished."""
        return name in self._running

    def source_of(self, name: str) -> Source | None:
        """The source of the module of this full name; a package's is its `__init__.py`."""
        make = self._generated.get(name)
        if make is not None:
            if name not in self.made:
                self.made[name] = make()
            return self.made[name]
        source = self._sources.get(name)
        return source if source is not None else self._sources.get(f"{name}.__init__")

    def is_package(self, name: str) -> bool:
        return name in self._packages

    def forbid(self, module: str) -> None:
        """Let imports of a module fail as if it had failed and been reported."""
        self._failed[f"{self.package}.{module}"] = ()

    def children(self, package: str) -> list[str]:
        """The last names of the modules directly below a package of this version."""
        known = {*self._sources, *self._packages, *self._generated}
        below = [name.rpartition(".") for name in known]
        return sorted(last for parent, _, last in below if parent == package and last != "__init__")

    def text_of(self, path: str) -> str | None:
        """The text of the file of this version with this absolute name."""
        return next((source.text for source in self._sources.values() if source.path == path), None)

    def has(self, name: str) -> bool:
        return name in self._packages or name in self._sources or name in self._generated

    def load(self, name: str) -> ModuleType:
        """The module of this full name, run now unless it was (or is just running).

        Raises:
            ModuleFailed: it failed, now or before, while the version was loaded.
            ModuleNotFoundError: the version has no such module.
        """
        module = self.modules.get(name)
        if module is not None and name not in self._running:
            return module
        with self._lock:
            module = self.modules.get(name)
            if module is not None:
                return module
            if self._is_retired:
                raise ModuleNotFoundError(f"{name} belongs to a version that was replaced", name=name)
            if name in self._failed:
                raise ModuleFailed(name, self._failed[name])
            if not self.has(name):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return self._run(name)

    def _run(self, name: str) -> ModuleType:
        parent, _, last = name.rpartition(".")
        if parent:
            self.load(parent)
            if name in self.modules:
                return self.modules[name]  # the parent's `__init__.py` imported it
        source = self.source_of(name)
        module = self._make(name, source)
        self.modules[name] = sys.modules[name] = module
        self._running.add(name)
        try:
            if source is not None:
                if source.code is None:
                    raise ModuleFailed(name, [source.problem] if source.problem else ())
                exec(source.code, module.__dict__)
        except BaseException as error:
            try:
                if self.explain is None or source is None or isinstance(error, LoadInterrupted):
                    raise
                self._failed[name] = problems = self._problems(source, module, error)
            finally:
                self._give_up(name)
            raise ModuleFailed(name, problems) from None
        finally:
            self._running.discard(name)
        if parent and not _is_function(self.modules[parent].__dict__.get(last)):  # that is told of as `SamePathTwice`
            setattr(self.modules[parent], last, module)
        return module

    def _problems(self, source: Source, module: ModuleType, error: BaseException) -> Sequence[Problem]:
        if isinstance(error, ModuleFailed):
            return error.problems
        assert self.explain is not None, "it is asked for while the version is loaded"
        errors = [error, *further_errors(source, module.__dict__, error)]
        return [self.explain(source, each) for each in errors]

    def _make(self, name: str, source: Source | None) -> ModuleType:
        module = ModuleType(name)
        is_package = name in self._packages
        spec = ModuleSpec(name, self._loader.as_loader, origin=source and source.path, is_package=is_package)
        contents = module.__dict__
        contents["__spec__"] = spec
        contents["__loader__"] = self._loader
        contents["__builtins__"] = self._builtins
        contents["__package__"] = name if is_package else name.rpartition(".")[0]
        if is_package:
            contents["__path__"] = spec.submodule_search_locations = [self._path_of(name)]
            if source is not None and not source.path.endswith("__init__.py"):
                # `admin.py` beside `admin/`: its own relative imports start where the file is
                contents["__package__"] = name.rpartition(".")[0]
        if source is not None:
            contents["__file__"] = source.path
            spec.has_location = True
        return module

    def _path_of(self, package: str) -> str:
        return str(Path(self._folder_path, *package.split(".")[1:]))

    def _give_up(self, name: str) -> None:
        self.modules.pop(name, None)
        sys.modules.pop(name, None)

    def import_for_module(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`__import__` of this version's modules (https://docs.python.org/3/library/functions.html#import__)."""
        if name in self._foreign and not level:
            return builtins.__import__(name, globals, locals, fromlist or (), 0)
        full = self._own_name(name, globals, fromlist, level)
        if full is None:
            return self._import_foreign(name, globals, locals, fromlist, level)
        module = self.load(full)
        if full in self._packages:
            for submodule in self._submodules(full, module, fromlist or ()):
                self._note(globals, submodule)
                self.load(submodule)
        self._note(globals, full)
        return module if fromlist else self.modules[self.package]

    def _note(self, globals: Mapping[str, Any] | None, imported: str) -> None:
        if self.explain is not None and globals is not None:
            self.imports.add((globals.get("__name__", ""), imported))

    def _own_name(
        self, name: str, globals: Mapping[str, Any] | None, fromlist: Sequence[str] | None, level: int
    ) -> str | None:
        """The full name of what is imported when it belongs to this version."""
        if level:
            return self._relative_name(name, (globals or {}).get("__package__") or "", level)
        top, _, rest = name.partition(".")
        if top != self._folder_name or not self._is_meant(rest, fromlist or ()):
            return None
        return f"{self.package}.{rest}" if rest else self.package

    def _relative_name(self, name: str, package: str, level: int) -> str | None:
        known = self._relative.get((name, package, level))
        if known is not None:
            return known
        if package != self.package and not package.startswith(f"{self.package}."):
            return None
        above = package.rsplit(".", level - 1)
        if len(above) < level:
            raise ImportError("attempted relative import beyond top-level package", name="." * level + name)
        full = self._relative[name, package, level] = f"{above[0]}.{name}" if name else above[0]
        return full

    def _is_meant(self, rest: str, fromlist: Sequence[str]) -> bool:
        """Whether `convex...` means the user's folder rather than PyPI's client of the same name."""
        if rest:
            return rest.partition(".")[0] in self._names
        if fromlist:
            return any(name in self._names for name in fromlist)
        installed = find_spec(self._folder_name)
        return installed is None or installed.origin is None or Path(installed.origin).is_relative_to(self._folder_path)

    def _submodules(self, package: str, module: ModuleType, fromlist: Sequence[str]) -> Iterator[str]:
        """The modules that `from package import ...` names, where the package has no other value of that name."""
        for name in fromlist:
            for wanted in getattr(module, "__all__", ()) if name == "*" else (name,):
                submodule = f"{package}.{wanted}"
                if self.has(submodule) and isinstance(getattr(module, wanted, self), ModuleType | Version):
                    yield submodule

    def _import_foreign(
        self,
        name: str,
        globals: Mapping[str, Any] | None,
        locals: Mapping[str, Any] | None,
        fromlist: Sequence[str] | None,
        level: int,
    ) -> ModuleType:
        if level:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        top = name.partition(".")[0]
        substitute = self._substitutes.get(name if fromlist else top)
        if substitute is not None:
            builtins.__import__(name, globals, locals, fromlist or (), 0)  # there may be submodules among them
            return substitute
        if top != self._folder_name and not self._project.may_have(top):
            self._foreign.add(name)
        return self._project.import_for_module(name, globals, locals, fromlist or (), 0)

    def retire(self) -> None:
        """Leave `sys.modules` and the import system; what still holds on to a module can go on using it."""
        self._is_retired = True
        if self._loader in sys.meta_path:
            sys.meta_path.remove(self._loader)
        for name, module in list(self.modules.items()):
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _VersionLoader:
    """Answers the import system for one version: `importlib.import_module(".x", __package__)`, `inspect`, pickle.

    A finder and loader by its methods (https://docs.python.org/3/reference/import.html#finders-and-loaders): to derive
    it from those of `importlib.abc` would import 12 modules.
    """

    def __init__(self, version: Version) -> None:
        self._version = version

    @property
    def as_loader(self) -> "Loader":
        return cast("Loader", self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        version = self._version
        if fullname != version.package and not fullname.startswith(f"{version.package}."):
            return None
        if not version.has(fullname):  # never the disk, which may be newer than this version
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return ModuleSpec(fullname, self.as_loader, is_package=version.is_package(fullname))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._version.load(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do: `create_module` has run it."""

    def is_package(self, fullname: str) -> bool:
        return self._version.is_package(fullname)

    def get_source(self, fullname: str) -> str | None:
        source = self._version.source_of(fullname)
        return source and source.text

    def get_code(self, fullname: str) -> CodeType | None:
        source = self._version.source_of(fullname)
        return source and source.code

    def get_filename(self, fullname: str) -> str:
        source = self._version.source_of(fullname)
        if source is None:
            raise ImportError(f"{fullname} has no file", name=fullname)
        return source.path


def _is_function(value: object) -> bool:
    return issubclass(type(value), RegisteredFunction)  # isinstance would wake lazy objects


def _full_names(package: str, sources: Mapping[str, Source]) -> "list[tuple[str, Source]]":
    return [(f"{package}.{module.replace('/', '.')}", source) for module, source in sources.items()]
