"""The modules beside the functions folder: ordinary modules that only the project's own code finds."""

import builtins
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pyconvex.loading.source import LIMIT_NAME, compile_plain

PRIVATE = "_pyconvex_v"
"""How the packages of versions are called, before their number."""
_INSTALLED = frozenset(("site-packages", "dist-packages"))


class ProjectModules:
    """Imports from the project's root, without putting the root on `sys.path`.

    Only imports written in the project's own code look there: its functions, and the modules beside them. What they
    find is an ordinary module under its ordinary name, and is not loaded again. Like a script's own folder, the root
    comes before installed packages, but never before the standard library.
    """

    def __init__(self, root: str, folder_name: str, limit: tuple[type[BaseException], ...]) -> None:
        self.root = root
        self._folder_name = folder_name
        self._wanted = threading.local()
        self.builtins = {**vars(builtins), LIMIT_NAME: limit, "__import__": self.import_for_module}

    def import_for_module(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`__import__` of the project's own code."""
        if not level:
            top = name.partition(".")[0]
            if (top not in sys.modules or _OWNERS.get(top, self) is not self) and self.may_have(top):
                return self._import_own(top, name, globals, locals, fromlist or ())
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    def may_have(self, top: str) -> bool:
        """Whether the root has a file or folder that an import of this top-level name may mean."""
        if top in sys.stdlib_module_names or top == self._folder_name:
            return False
        path = Path(self.root, top)
        return path.with_name(f"{top}.py").is_file() or path.is_dir()

    def _import_own(
        self,
        top: str,
        name: str,
        globals: Mapping[str, Any] | None,
        locals: Mapping[str, Any] | None,
        fromlist: Sequence[str],
    ) -> ModuleType:
        if _OWNERS.get(top, self) is not self:
            _forget(top)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        before = getattr(self._wanted, "top", None)
        self._wanted.top = top
        try:
            return builtins.__import__(name, globals, locals, fromlist, 0)
        finally:
            self._wanted.top = before

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """The import system asks for every module; the answer is None unless the project's code asked first."""
        if path is None:
            if fullname != getattr(self._wanted, "top", None):
                return None
            spec = PathFinder.find_spec(fullname, [self.root], target)
            if spec is not None and spec.origin is None and _is_installed(fullname):
                return None  # a folder without __init__.py does not hide an installed package
        elif _OWNERS.get(fullname.partition(".")[0]) is self:
            spec = PathFinder.find_spec(fullname, path, target)
        else:
            return None
        if spec is None:
            return None
        if path is None:
            _OWNERS[fullname] = self
        if isinstance(spec.loader, SourceFileLoader):
            spec.loader = _ProjectLoader(fullname, spec.loader.path, self)
        return spec


_PROJECTS: dict[tuple[str, str], ProjectModules] = {}
_OWNERS: dict[str, ProjectModules] = {}
"""Top-level modules in `sys.modules` that came from a project's root. Two projects in one process (tests) may each
have a `helpers.py`: the second takes the name over, and the first keeps what it has imported."""


def project_modules(root: str, folder_name: str, limit: tuple[type[BaseException], ...]) -> ProjectModules:
    """The one finder of a project in this process, since ordinary modules are loaded once."""
    known = _PROJECTS.get((root, folder_name))
    if known is None:
        known = _PROJECTS[root, folder_name] = ProjectModules(root, folder_name, limit)
    return known


def _forget(top: str) -> None:
    _OWNERS.pop(top, None)
    for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
        del sys.modules[name]


def _is_installed(name: str) -> bool:
    spec = PathFinder.find_spec(name)
    return spec is not None and spec.origin is not None


class _ProjectLoader(SourceFileLoader):
    """Runs a module of the project with imports that find the project's other modules."""

    def __init__(self, fullname: str, path: str, project: ProjectModules) -> None:
        super().__init__(fullname, path)
        self._project = project

    def get_code(self, fullname: str) -> CodeType:
        """Compile from source every time: the bytecode cache compares whole seconds and file size, so after a
        quick second save of equal length a restart would run the older text."""
        return compile_plain(Path(self.path).read_bytes(), self.path)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._project.builtins
        super().exec_module(module)


class Outside:
    """The project's files outside its functions folder that this process has imported."""

    def __init__(self, root: str, folder: str) -> None:
        self._root = root + os.sep
        self._folder = folder + os.sep
        self._seen: set[str] = set()
        self._files: frozenset[Path] = frozenset()

    def files(self) -> frozenset[Path]:
        """All of them so far. Looks only at modules that came since it was asked last."""
        found: set[Path] = set()
        for name in sys.modules.keys() - self._seen:
            if name.startswith(PRIVATE):
                continue
            self._seen.add(name)
            file = getattr(sys.modules.get(name), "__dict__", {}).get("__file__")
            if isinstance(file, str) and self._is_outside(file):
                found.add(Path(file))
        if found:
            self._files |= found
        return self._files

    def _is_outside(self, file: str) -> bool:
        if not file.startswith(self._root) or file.startswith(self._folder):
            return False
        return _INSTALLED.isdisjoint(Path(file[len(self._root) :]).parts)
