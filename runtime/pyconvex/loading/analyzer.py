"""What the modules of one version define, and everything that is wrong with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from types import ModuleType
from typing import Any

from msgspec import Struct, field

from pyconvex.errors import Place, Problem, PyconvexError
from pyconvex.functions.function import Function, Kind, RegisteredFunction
from pyconvex.functions.references import snake
from pyconvex.loading.frames import Project
from pyconvex.loading.source import Source


class ModuleReport(Struct, frozen=True):
    """What one module defines. `names` are all its registered functions, HTTP actions too, as `messages:send`."""

    functions: tuple[Function, ...] = ()
    names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class Analysis(Struct):
    """What all modules define. `handlers` names each registered function by its identity."""

    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    handlers: dict[int, str] = field(default_factory=dict[int, str])
    reports: dict[str, ModuleReport] = field(default_factory=dict[str, ModuleReport])
    problems: list[Problem] = field(default_factory=list[Problem])

    def add(self, path: str, module: ModuleType, source: Source, project: Project, known: ModuleReport | None) -> None:
        """Look at one module.

        Args:
            path: its module path, `admin/reports`.
            known: what was found before in the same text, if nothing that it imports has changed since either;
                annotations are then not evaluated again.
        """
        contents = module.__dict__
        if known is None:
            report = _examine(path, contents, source, project)
        else:
            report = ModuleReport(_renewed(contents, len(path) + 1, known.functions), known.names)
        self.reports[path] = report
        self.problems += report.problems
        for function in report.functions:
            self.functions[function.path] = function
        for name in report.names:
            self.handlers.setdefault(id(contents[name[len(path) + 1 :]]), name)


def is_function_module(path: str) -> bool:
    """Whether the module's functions are served; those with a name that starts with `_` are only imported."""
    return not path.startswith("_") and "/_" not in path and path != "schema"


def spelling_problems(sources: Mapping[str, Source]) -> Iterator[Problem]:
    """Two modules whose names are spellings of one: `userData.py` beside `user_data.py`."""
    seen: dict[str, Source] = {}
    for path, source in sources.items():
        first = seen.setdefault(snake(path), source) if is_function_module(path) else source
        if first is not source:
            yield Problem(
                "SameModuleTwice",
                f"`{first.file}` and `{source.file}` are two spellings of one module name",
                place=Place(source.file, 1),
                hint="rename one of them: clients may call either spelling",
                also=(Place(first.file, 1),),
            )


def path_problems(functions: Iterable[Function], sources: Mapping[str, Source]) -> Iterator[Problem]:
    """A function of `admin.py` with the name of a module of `admin/`: to Python, `admin.name` is one of them."""
    modules: dict[str, Source] = {}
    for path, source in sources.items():
        for each in accumulate(path.split("/"), "{}/{}".format):
            modules.setdefault(each, source)
    for function in functions:
        module, _, name = function.path.partition(":")
        source = modules.get(f"{module}/{name}")
        if source is not None:
            yield Problem(
                "SamePathTwice",
                f"the function `{name}` and `{source.file}` are both `{module.replace('/', '.')}.{name}`",
                place=function.place,
                hint="rename one of them",
                also=(Place(source.file, 1),),
            )


def _renewed(contents: Mapping[str, Any], start: int, functions: tuple[Function, ...]) -> tuple[Function, ...]:
    """The same functions with the handlers of this version; their names begin at `start` of their paths."""
    return tuple(
        [
            Function(
                old.path, old.kind, old.visibility, old.args, old.returns, contents[old.path[start:]].handler, old.place
            )
            for old in functions
        ]
    )


def _examine(path: str, contents: Mapping[str, Any], source: Source, project: Project) -> ModuleReport:
    functions: list[Function] = []
    names: list[str] = []
    problems: list[Problem] = []
    spellings: dict[str, tuple[str, Place]] = {}
    for name, registered in _own_functions(contents, source, project):
        place = project.place(registered.place)
        assert place is not None, "a registered function has a place"
        first = spellings.setdefault(snake(name), (name, place))
        if first[0] != name:
            problems.append(_same_function_twice(first, (name, place)))
        if not name.isascii():
            problems.append(_illegal_name(name, place))
        names.append(f"{path}:{name}")
        if registered.kind is not Kind.HTTP_ACTION:
            validators = [_resolved(read, project, place, problems) for read in _validators(registered)]
            functions.append(
                Function(
                    f"{path}:{name}",
                    registered.kind,
                    registered.visibility,
                    *validators,
                    handler=registered.handler,
                    place=place,
                )
            )
    return ModuleReport(tuple(functions), tuple(names), tuple(problems))


def _own_functions(
    contents: Mapping[str, Any], source: Source, project: Project
) -> Iterator[tuple[str, RegisteredFunction[..., Any]]]:
    """The registered functions that the module defines. What it imports belongs to others, unless `__all__` has it."""
    exported = contents.get("__all__", ())
    for name, value in contents.items():
        if not issubclass(type(value), RegisteredFunction):  # isinstance would wake lazy objects
            continue
        is_foreign = name in source.imported or (
            source.starred and name not in source.assigned and value.place.file != source.path
        )
        if not is_foreign or name in exported:
            yield name, value


def _validators(registered: RegisteredFunction[..., Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return (lambda: registered.args), (lambda: registered.returns)


def _resolved(read: Callable[[], Any], project: Project, place: Place, problems: list[Problem]) -> Any:
    try:
        return read()
    except PyconvexError as error:
        where = project.place(error.place) or place
        problems.append(Problem(error.code, error.message, place=where, hint=error.hint))
    except Exception as error:
        name = type(error).__name__
        problems.append(Problem(name, f"an annotation raises {name}: {error}", place=place))
    return None


def _same_function_twice(first: tuple[str, Place], second: tuple[str, Place]) -> Problem:
    return Problem(
        "SameFunctionTwice",
        f"`{first[0]}` and `{second[0]}` are two spellings of one function name",
        place=second[1],
        hint="rename one of them: clients may call either spelling",
        also=(first[1],),
    )


def _illegal_name(name: str, place: Place) -> Problem:
    return Problem(
        "IllegalFunctionName",
        f"`{name}` cannot be called by clients: names of functions are made of ASCII letters, digits and `_`",
        place=place,
        hint="rename it",
    )
