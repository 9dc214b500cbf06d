"""The user's folder on disk: which files are modules, and their sources, read only where they may have changed."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from stat import S_ISREG

from msgspec import Struct, field

from pyconvex.errors import Place, Problem
from pyconvex.loading.source import Source, compile_source

GENERATED = "_generated"
_FOREIGN = (".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", ".cjs")
_SKIPPED_FOLDERS = frozenset((GENERATED, "__pycache__", "node_modules"))
_SETTLED_NS = 50_000_000
"""A file read within this time of its last change may have been changed again with the same time stamp: the clock
of file systems ticks every few milliseconds. It is read again until it was read later than that."""


class FolderScan(Struct, frozen=True):
    """What the folder holds now. `sources` goes by module path (`admin/reports`), in alphabetical order.

    Modules whose last name starts with `_` are there too: they may be imported, but define no functions.
    """

    sources: Mapping[str, Source]
    packages: frozenset[str]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


class Folder:
    """Remembers the sources of the last scan, and no others. `name` is how messages call the folder."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._known: dict[str, _Known] = {}

    def scan(self) -> FolderScan:
        """Look at every file below the folder; reads and compiles what is new or changed."""
        if not self.path.is_dir():
            return FolderScan({}, frozenset(), (self._missing(),), ())
        walk = _Walk(self.name, self._known)
        walk.enter(str(self.path), "")
        self._known = walk.found
        sources = {known.module: known.source for known in walk.found.values()}
        ordered = {module: sources[module] for module in sorted(sources)}
        return FolderScan(ordered, frozenset(walk.packages), tuple(walk.problems), tuple(walk.warnings()))

    def _missing(self) -> Problem:
        what = "is a file, not a folder" if self.path.exists() else "does not exist"
        return Problem(
            "FolderMissing",
            f"the functions folder `{self.name}/` {what}",
            hint="run `pyconvex init` in the project's folder, or start in the folder that holds it",
        )


class _Known(Struct, frozen=True):
    """`stamp` is (mtime_ns, ctime_ns, size, inode); it is only believed once the file was `settled` when read."""

    module: str
    stamp: tuple[int, int, int, int]
    settled: bool
    source: Source


class _Walk(Struct):
    """One walk over the folder, which is called `name` in what users read. `known` and `found` go by absolute path."""

    name: str
    known: Mapping[str, _Known]
    found: dict[str, _Known] = field(default_factory=dict[str, _Known])
    packages: set[str] = field(default_factory=set[str])
    problems: list[Problem] = field(default_factory=list[Problem])
    _foreign: list[str] = field(default_factory=list[str])
    _linked: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def enter(self, path: str, prefix: str) -> None:
        """Collect the files of one folder, whose modules start with `prefix` (`admin/`)."""
        for entry in _entries(path):
            name = entry.name
            if name[0] in ".#" or name[-1] == "~":
                continue
            try:
                if name.endswith(".py"):
                    self._file(entry, prefix)
                elif entry.is_dir():
                    self._folder(entry, prefix)
                elif name.endswith(_FOREIGN) and entry.is_file():
                    self._foreign.append(f"{self.name}/{prefix}{name}")
            except OSError:
                continue  # it vanished between listing and looking

    def _folder(self, entry: "os.DirEntry[str]", prefix: str) -> None:
        if entry.name in _SKIPPED_FOLDERS:
            return
        if not _is_legal(entry.name):
            self._report_illegal_folder(entry, prefix)
            return
        if entry.is_symlink():
            stat = entry.stat()
            if (stat.st_dev, stat.st_ino) in self._linked:
                return  # a link to a folder above it would go on for ever
            self._linked.add((stat.st_dev, stat.st_ino))
        self.packages.add(prefix + entry.name)
        self.enter(entry.path, f"{prefix}{entry.name}/")

    def _report_illegal_folder(self, entry: "os.DirEntry[str]", prefix: str) -> None:
        inside = next((inner.name for inner in _entries(entry.path) if inner.name.endswith(".py")), None)
        if inside is not None:
            self.problems.append(_illegal_name(entry.name, f"{self.name}/{prefix}{entry.name}/", f"{inside}"))

    def _file(self, entry: "os.DirEntry[str]", prefix: str) -> None:
        stat = entry.stat()
        stamp = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
        known = self.known.get(entry.path)
        if known is None or not known.settled or known.stamp != stamp:
            name = entry.name[:-3]
            file = f"{self.name}/{prefix}{entry.name}"
            if not _is_legal(name):
                if not name.startswith("_"):
                    self.problems.append(_illegal_name(name, file))
                return
            known = self._read(entry.path, file, prefix + name, stamp, known) if S_ISREG(stat.st_mode) else None
        if known is not None:
            self.found[entry.path] = known

    def _read(
        self, path: str, file: str, module: str, stamp: tuple[int, int, int, int], known: _Known | None
    ) -> _Known | None:
        read_at = time.time_ns()
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self.problems.append(Problem("FileUnreadable", f"this file cannot be read: {reason}", place=Place(file, 1)))
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        settled = read_at - max(stamp[:2]) > _SETTLED_NS
        if known is not None and known.source.sha256 == sha256:
            return _Known(module, stamp, settled, known.source)
        return _Known(module, stamp, settled, compile_source(data, path, file, sha256))

    def warnings(self) -> Iterator[Problem]:
        if self._foreign:
            first, *others = sorted(self._foreign)
            more = f" and {len(others)} more" if others else ""
            yield Problem(
                "ForeignFile",
                f"`{first}`{more} ignored: functions are written in Python here",
                hint="move TypeScript and JavaScript files out of this folder",
            )


def _entries(path: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []  # the folder vanished, or may not be listed: its modules are then missing, and that is reported


def _is_legal(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _illegal_name(name: str, file: str, inside: str | None = None) -> Problem:
    """About a module, or with `inside` about a folder of modules, whose name cannot be written in Python."""
    legal = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).strip("_") or "module"
    if legal[0].isdigit():
        legal = f"m_{legal}"
    return Problem(
        "IllegalModuleName",
        f"`{file}` cannot be imported: names of modules are made of letters, digits and `_`",
        place=Place(file + (inside or ""), 1),
        hint=f"rename it to `{legal}{'/' if inside else '.py'}`",
    )
