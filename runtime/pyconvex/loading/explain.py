"""Why a user's module could not be imported, as one problem: what happened, where, and how to fix it."""

import builtins
import difflib
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pyconvex.errors import Place, Problem, PyconvexError, Remedy
from pyconvex.functions.routing.error import RouteError
from pyconvex.functions.routing.router import http_router
from pyconvex.loading.codegen.generated import DATA_MODEL_NAMES, SERVER_NAMES
from pyconvex.loading.deadline import ThreadAtImport
from pyconvex.loading.folder import GENERATED
from pyconvex.loading.frames import Project
from pyconvex.loading.source import Source
from pyconvex.loading.syntax import syntax_problem
from pyconvex.loading.version import Version
from pyconvex.schema import define_schema

_PACKAGES = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "magic": "python-magic",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""Packages of PyPI whose name differs from that of their module."""

_DOORS = ("pyconvex.server", "pyconvex.values")
_OTHER_PLACES = 3
_HERE = str(Path(__file__).parent)


class Explainer:
    """Turns what a module of one version raised into a problem."""

    def __init__(self, version: Version, project: Project) -> None:
        self._version = version
        self._project = project
        self._texts: dict[str, str] = {}
        self._private = re.compile(rf"\b{version.package}\b\.?")

    def explain(self, source: Source, error: BaseException) -> Problem:
        """The problem behind `error`, which was raised while `source` was run."""
        places = self._project.places(error.__traceback__, self._text_of) or [Place(source.file, 1)]
        match error:
            case SyntaxError():
                return self._syntax(error, places)
            case RouteError():
                return self._ours(error, places, error.other)
            case PyconvexError():
                return self._ours(error, places, None)
            case ModuleNotFoundError():
                return self._not_found(error, places, source)
            case ImportError():
                return self._not_imported(error, places, source)
            case _:
                return self._raised(error, places, source)

    def _text_of(self, path: str) -> str | None:
        text = self._texts.get(path)
        if text is None:
            text = self._version.text_of(path)
            if text is None:
                with suppress(OSError, UnicodeDecodeError):
                    text = Path(path).read_text("utf-8")
            self._texts[path] = text or ""
        return text

    def _syntax(self, error: SyntaxError, places: list[Place]) -> Problem:
        """Of a module outside the folder, or of a text that the module evaluates."""
        if error.filename and self._project.holds(error.filename):
            text = self._text_of(error.filename)
            return syntax_problem(error, self._project.relative(error.filename), text)
        return _problem("SyntaxError", error.msg, places, error=error)

    def _ours(self, error: PyconvexError, places: list[Place], other: Place | None) -> Problem:
        place = self._project.place(error.place) or places[-1]
        also = self._project.place(other)
        return Problem(
            error.code,
            error.message,
            place=place,
            hint=error.hint,
            also=(also,) if also else (),
            remedy=Remedy.SET_VARIABLE if error.remedy is Remedy.SET_VARIABLE else Remedy.SAVE_FILE,
            trace=_trace(error),
        )

    def _not_found(self, error: ModuleNotFoundError, places: list[Place], source: Source) -> Problem:
        name = error.name or ""
        if name.startswith(self._version.package):
            return self._own_module_not_found(name, places, error)
        library = _importing_library(error.__traceback__, self._project)
        message = f"there is no module `{name}`" + (f", which `{library}` needs" if library else "")
        return _problem("ModuleNotFound", message, places, self._missing_package_hint(name), error=error)

    def _own_module_not_found(self, name: str, places: list[Place], error: BaseException) -> Problem:
        parent, _, last = name.rpartition(".")
        close = _closest(last, self._version.children(parent))
        file = places[-1].file
        message = f"`{file}` imports `{self._relative(name, file)}`, which does not exist"
        hint = f"did you mean `{self._relative(f'{parent}.{close}', file)}`?" if close else None
        return _problem("ModuleNotFound", message, places, hint, error=error)

    def _missing_package_hint(self, name: str) -> str | None:
        top, _, rest = name.partition(".")
        folder = self._project.package
        own = self._version.children(self._version.package)
        if top == folder and rest and (close := _closest(rest.partition(".")[0], own)):
            return f"did you mean `{folder}.{close}`?"
        if top in own:
            return f"modules of `{folder}/` import each other relatively: `from .{name} import ...`"
        parent = sys.modules.get(name.rpartition(".")[0])
        if rest and parent is not None:
            close = _closest(name.rpartition(".")[2], _modules_in(getattr(parent, "__path__", ())))
            return f"did you mean `{parent.__name__}.{close}`?" if close else None
        package = _PACKAGES.get(top, top.replace("_", "-"))
        install = f"install it: `uv add {package}`, or `pip install {package}`"
        close = _closest(top, [*sys.stdlib_module_names, *_modules_in([self._project.root, *sys.path])], cutoff=0.75)
        return f"did you mean `{close}`? Otherwise {install}" if close else install

    def _not_imported(self, error: ImportError, places: list[Place], source: Source) -> Problem:
        text = str(error)
        if "beyond top-level package" in text:
            return self._beyond(error, places)
        wanted = _wanted_name(error, text)
        module = error.name or ""
        if wanted is None:
            return _problem("ImportFailed", self._readable(text), places, error=error)
        if self._version.is_loading(module):
            return self._circle(module, wanted, places, error)
        shown = self._relative(module, places[-1].file) if module.startswith(self._version.package) else module
        loaded = sys.modules.get(module)
        names = [*(vars(loaded) if loaded else ()), *self._version.children(module)]
        hint = self._name_hint(wanted, module, names)
        message = f"`{shown}` has no `{wanted}`"
        return _problem("NameNotFound", message, places, hint, error=error)

    def _name_hint(self, wanted: str, module: str, names: list[str]) -> str | None:
        close = _closest(wanted, [name for name in names if not name.startswith("_")])
        if close:
            return f"did you mean `{close}`?"
        door = next((door for door in _DOORS if door != module and wanted in _public(door)), None)
        return f"import it from `{door}`" if door else None

    def _beyond(self, error: ImportError, places: list[Place]) -> Problem:
        name = (error.name or "").lstrip(".")
        plain = f"`from {name} import ...`" if name else "`import name`"
        return _problem(
            "ImportBeyondFolder",
            f"this relative import leaves `{self._project.name}/`",
            places,
            f"modules beside the folder are imported by their plain names: {plain}",
            error=error,
        )

    def _circle(self, module: str, wanted: str, places: list[Place], error: BaseException) -> Problem:
        """`places[-1]` closed the circle by importing `module`, which stands further out on the stack meanwhile."""
        source = self._version.source_of(module)
        assert source is not None, "a module that is loading has a source"
        closing = places[-1]
        if closing.file == source.file:
            return _problem(
                "CircularImport", f"`{closing.file}` imports itself", places, "remove the import", error=error
            )
        others = _module_places(source.path, self._project, beyond=closing.file)
        circle = [closing.file, *(place.file for place in others)]
        if len(circle) == 2:
            message = f"`{circle[0]}` and `{circle[1]}` import each other while loading"
        else:
            message = f"these import each other in a circle: {' → '.join(f'`{file}`' for file in [*circle, circle[0]])}"
        return Problem(
            "CircularImport",
            message,
            place=closing,
            hint=f"move `{wanted}` to a module that imports neither, or import it inside the function that needs it",
            also=tuple(others),
            trace=_trace(error),
        )

    def _raised(self, error: BaseException, places: list[Place], source: Source) -> Problem:
        text = self._readable(_text(error))
        match error:
            case ThreadAtImport():
                return _problem(
                    "ThreadAtImport",
                    "this starts a thread while the module is loaded",
                    places,
                    "start it inside an action; a thread of a module would outlive every reload",
                    error=error,
                )
            case RuntimeError() if "no running event loop" in text or "no current event loop" in text:
                return _problem(
                    "TaskAtImport",
                    "this needs a running event loop, and there is none while modules are loaded",
                    places,
                    "create tasks and other asyncio objects inside a function",
                    error=error,
                )
            case KeyError() if _is_environment(error.__traceback__):
                return _missing_variable(error, places, source)
            case SystemExit():
                message, hint = "this ends the program while the module is loaded", "remove the call to exit"
                return _problem("ExitAtImport", message, places, hint, error=error)
            case NameError():
                return _problem("NameError", text, places, self._undefined_hint(error, source), error=error)
            case AttributeError():
                return self._no_attribute(error, text, places)
            case _:
                name = type(error).__name__
                return _problem(name, f"{name}: {text}" if text else name, places, error=error)

    def _undefined_hint(self, error: NameError, source: Source) -> str | None:
        name: str = error.name or ""
        if name in SERVER_NAMES:
            return f"add `from {self._dots(source)}{GENERATED}.server import {name}`"
        if name in ("api", "internal"):
            return f"add `from {self._dots(source)}{GENERATED}.api import {name}`"
        if name in DATA_MODEL_NAMES:
            return f"add `from {self._dots(source)}{GENERATED}.data_model import {name}`"
        door = next((door for door in _DOORS if name in _public(door)), None)
        if door:
            return f"add `from {door} import {name}`"
        if name in sys.stdlib_module_names:
            return f"add `import {name}`"
        close = _closest(name, [*_names_at(error.__traceback__), *vars(builtins)])
        return f"did you mean `{close}`?" if close else None

    def _dots(self, source: Source) -> str:
        return "." * source.file[len(self._project.name) :].count("/")

    def _no_attribute(self, error: AttributeError, text: str, places: list[Place]) -> Problem:
        thing: Any = error.obj
        name: str = error.name or ""
        if isinstance(thing, type) and thing.__name__ in DATA_MODEL_NAMES and thing.__module__.endswith(".data_model"):
            return self._no_table(thing, name, places, error)
        if isinstance(thing, ModuleType) and self._version.is_loading(thing.__name__):
            return self._circle(thing.__name__, name, places, error)
        hint = None
        for factory in (http_router, define_schema):
            if thing is factory:
                hint = f"call it: `{factory.__name__}(...)`" if factory is define_schema else "call it: `http_router()`"
        close = _closest(name, [known for known in _attributes(thing) if not known.startswith("_")])
        hint = hint or (f"did you mean `{close}`?" if close else None)
        return _problem("AttributeError", f"AttributeError: {text}", places, hint, error=error)

    def _no_table(self, thing: type, name: str, places: list[Place], error: BaseException) -> Problem:
        tables = [known for known in vars(thing) if not known.startswith("_")]
        close = _closest(name, tables)
        schema = f"{self._project.name}/schema.py"
        if close:
            hint = f"did you mean `{thing.__name__}.{close}`?"
        else:
            instead = " Without a schema, ids are annotated `str`." if thing.__name__ == "Id" else ""
            hint = f"declare the table in `{schema}`.{instead}"
        return _problem("UnknownTable", f"`{schema}` declares no table `{name}`", places, hint, error=error)

    def _relative(self, full: str, file: str) -> str:
        """A module of this version as an import in `file` names it: `.users`, `..shared`."""
        here = file[len(self._project.name) + 1 :].split("/")[:-1]
        there = full.split(".")[1:]
        shared = 0
        while shared < min(len(here), len(there)) and here[shared] == there[shared]:
            shared += 1
        return "." * (len(here) - shared + 1) + ".".join(there[shared:])

    def _readable(self, text: str) -> str:
        return self._private.sub("", text)


def _problem(
    code: str,
    message: str,
    places: list[Place],
    hint: str | None = None,
    *,
    error: BaseException,
    remedy: Remedy = Remedy.SAVE_FILE,
) -> Problem:
    """`places` are the user's frames, outermost first; the innermost is where it happened."""
    others = [place for place in reversed(places[:-1]) if place != places[-1]][:_OTHER_PLACES]
    return Problem(code, message, places[-1], hint, tuple(others), remedy, _trace(error))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # a user's exception may fail even at that
        return f"(its text raises {type(second).__name__})"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _missing_variable(error: KeyError, places: list[Place], source: Source) -> Problem:
    name = error.args[0] if error.args else "?"
    is_needed = source.file.endswith("/auth_config.py")  # no function there that could read it later
    otherwise = "" if is_needed else ", or read it inside the function that needs it"
    return _problem(
        "VariableNotSet",
        f"the environment variable `{name}` is not set",
        places,
        f"set it with `pyconvex env set {name} ...`{otherwise}",
        error=error,
        remedy=Remedy.SET_VARIABLE,
    )


def _is_environment(trace: TracebackType | None) -> bool:
    """Whether a KeyError came out of `os.environ[...]`."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_locals.get("self") is os.environ


def _names_at(trace: TracebackType | None) -> list[str]:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return []
    return [*trace.tb_frame.f_locals, *(name for name in trace.tb_frame.f_globals if not name.startswith("__"))]


def _module_places(path: str, project: Project, beyond: str) -> list[Place]:
    """Where the modules stand that are being imported, from the one of file `path` inwards.

    They are on the stack that handles the error. `beyond` is the file that failed, which is not among them.
    """
    found: list[Place] = []
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - inspect.currentframe is slower and the same
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and project.holds(code.co_filename):
            place = Place(project.relative(code.co_filename), frame.f_lineno)
            if place.file != beyond:
                found.append(place)
            if code.co_filename == path:
                break
        frame = frame.f_back
    return found[::-1]


def _importing_library(trace: TracebackType | None, project: Project) -> str | None:
    """The installed package whose own import failed, when it was not the user's."""
    innermost = None
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith("<frozen") and not code.co_filename.startswith(_HERE):
            innermost = trace.tb_frame
        trace = trace.tb_next
    if innermost is None or project.holds(innermost.f_code.co_filename):
        return None
    return str(innermost.f_globals.get("__name__", "")).partition(".")[0] or None


_CANNOT_IMPORT = re.compile(r"cannot import name '([^']+)'")


def _wanted_name(error: ImportError, text: str) -> str | None:
    match = _CANNOT_IMPORT.match(text)
    return match[1] if match else getattr(error, "name_from", None)


def _closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    matches = difflib.get_close_matches(name, list(known), 1, cutoff)
    return matches[0] if matches else None


def _attributes(thing: object) -> list[str]:
    try:
        return dir(thing)
    except Exception:
        return []


def _public(door: str) -> Iterable[str]:
    return getattr(sys.modules.get(door), "__all__", ())


def _modules_in(path: Iterable[str]) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(list(path))]
