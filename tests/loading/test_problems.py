"""What users read when a save cannot be loaded: what, where, and how to fix it."""

import gc
import linecache
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyconvex.errors import LoadFailed, Place, Remedy
from pyconvex.loading.loader import Loader
from support.folder import FunctionsFolder, seen


@dataclass(frozen=True)
class Row:
    text: str
    code: str
    message: str
    place: str
    hint: str | None


SYNTAX = {
    "an open parenthesis": Row(
        "x = 1\n\ndef f(a,\n    b\n\ny = 2\n",
        "SyntaxError",
        "'(' was never closed",
        "convex/m.py:3:6",
        "close the parenthesis that opens here",
    ),
    "a bracket": Row(
        "x = [1,\n", "SyntaxError", "'[' was never closed", "convex/m.py:1:5", "close the bracket that opens here"
    ),
    "the wrong bracket": Row(
        "x = (1]\n",
        "SyntaxError",
        "closing parenthesis ']' does not match opening parenthesis '('",
        "convex/m.py:1:7",
        "close with the bracket that was opened",
    ),
    "a missing colon": Row(
        "def f()\n    pass\n", "SyntaxError", "expected ':'", "convex/m.py:1:8", "end this line with `:`"
    ),
    "a missing body": Row(
        "def f():\nx = 1\n",
        "SyntaxError",
        "expected an indented block after function definition on line 1",
        "convex/m.py:2:1",
        "indent the body, or write `...` for now",
    ),
    "an open string": Row(
        "x = 'abc\n",
        "SyntaxError",
        "unterminated string literal (detected at line 1)",
        "convex/m.py:1:5",
        "close the quotes",
    ),
    "await in a plain function": Row(
        "def f(g):\n    await g()\n",
        "SyntaxError",
        "'await' outside async function",
        "convex/m.py:2:5",
        "make the function around it `async def`",
    ),
    "await at the top": Row(
        "await x\n",
        "SyntaxError",
        "'await' outside function",
        "convex/m.py:1:1",
        "modules load without an event loop: await inside a function",
    ),
    "a merge conflict": Row(
        "x = 1\n<<<<<<< HEAD\ny = 1\n=======\ny = 2\n>>>>>>> theirs\n",
        "MergeConflict",
        "a merge conflict was left in this file",
        "convex/m.py:2:1",
        "keep one of the two versions and delete the `<<<<<<<`, `=======` and `>>>>>>>` lines",
    ),
    "columns count characters": Row(
        "ä = 'ö'; x = (\n",
        "SyntaxError",
        "'(' was never closed",
        "convex/m.py:1:14",
        "close the parenthesis that opens here",
    ),
}


@pytest.mark.parametrize("row", SYNTAX.values(), ids=SYNTAX.keys())
def test_syntax(folder: FunctionsFolder, row: Row) -> None:
    folder.write("m.py", row.text)
    assert seen(folder.problem()) == (row.code, row.message, row.place, row.hint)


def test_a_file_that_is_not_utf_8(folder: FunctionsFolder) -> None:
    (folder.path / "m.py").write_bytes(b"x = '\xff'\n")
    assert seen(folder.problem()) == (
        "NotUtf8",
        "this file is not UTF-8 text",
        "convex/m.py:1",
        "save it as UTF-8, or name its encoding on the first line: `# -*- coding: latin-1 -*-`",
    )


def test_a_declared_encoding_and_a_byte_order_mark_are_read(folder: FunctionsFolder) -> None:
    (folder.path / "a.py").write_bytes(b"# -*- coding: latin-1 -*-\r\nX = '\xe4'\r\n")
    (folder.path / "b.py").write_bytes(b"\xef\xbb\xbfX = 1\n")
    modules = folder.load().registry.modules
    assert (modules["a"].X, modules["b"].X) == ("ä", 1)


def test_null_bytes(folder: FunctionsFolder) -> None:
    (folder.path / "m.py").write_bytes(b"x = 1\0\n")
    problem = folder.problem()
    assert (problem.code, problem.place and problem.place.file) == ("SyntaxError", "convex/m.py")


def test_all_problems_at_once_and_none_twice(folder: FunctionsFolder) -> None:
    folder.write("a.py", "from .d import x\n")  # fails for d, which is reported by itself
    folder.write("b.py", "from .a import x\n")
    folder.write("c.py", "def f(:\n")
    folder.write("d.py", "x = 1 / 0\n")
    folder.write("e.py", "from .c import f\n")
    folder.write("http.py", "from .b import x\n")
    assert [(problem.code, str(problem.place)) for problem in folder.problems()] == [
        ("SyntaxError", "convex/c.py:1:7"),
        ("ZeroDivisionError", "convex/d.py:1:5"),
    ]


def test_a_private_module_that_its_importer_can_do_without(folder: FunctionsFolder) -> None:
    folder.write("_optional.py", "import stripe_of_nobody\n")
    folder.write("m.py", "try:\n    from . import _optional\nexcept ImportError:\n    _optional = None\n")
    assert folder.load().registry.modules["m"]._optional is None
    folder.write("n.py", "from ._optional import x\n")
    assert folder.problem().place == Place("convex/_optional.py", 1, 1)


def test_exceptions_and_objects_that_misbehave(folder: FunctionsFolder) -> None:
    folder.write(
        "a.py",
        """
        class Lazy:
            @property
            def __class__(self):
                raise RuntimeError("not now")

            def __getattr__(self, name):
                raise RuntimeError("nor that")

        lazy = Lazy()
        """,
    )
    folder.write("b.py", "class Odd(Exception):\n    def __str__(self):\n        return 1 / 0\n\nraise Odd\n")
    folder.write("http.py", "from .a import lazy\nfrom pyconvex.server import http_router\ndefault = http_router()\n")
    assert folder.problem().message == "Odd: (its text raises ZeroDivisionError)"


IMPORTS = {
    "a module that is not there": Row(
        "from .helper import x\n",
        "ModuleNotFound",
        "`convex/m.py` imports `.helper`, which does not exist",
        "convex/m.py:1:1",
        "did you mean `.helpers`?",
    ),
    "a name that is not there": Row(
        "x = 1\nfrom .helpers import creat\n",
        "NameNotFound",
        "`.helpers` has no `creat`",
        "convex/m.py:2:1",
        "did you mean `create`?",
    ),
    "the package has no such module": Row(
        "from . import helper\n", "NameNotFound", "`.` has no `helper`", "convex/m.py:1:1", "did you mean `helpers`?"
    ),
    "a package that is not installed": Row(
        "import stripe_of_nobody.client\n",
        "ModuleNotFound",
        "there is no module `stripe_of_nobody`",
        "convex/m.py:1:1",
        "install it: `uv add stripe-of-nobody`, or `pip install stripe-of-nobody`",
    ),
    "a package of another name": Row(
        "import cv2\n",
        "ModuleNotFound",
        "there is no module `cv2`",
        "convex/m.py:1:1",
        "install it: `uv add opencv-python`, or `pip install opencv-python`",
    ),
    "a slip in the standard library": Row(
        "import jsom\n",
        "ModuleNotFound",
        "there is no module `jsom`",
        "convex/m.py:1:1",
        "did you mean `json`? Otherwise install it: `uv add jsom`, or `pip install jsom`",
    ),
    "a forgotten dot": Row(
        "from helpers import create\n",
        "ModuleNotFound",
        "there is no module `helpers`",
        "convex/m.py:1:1",
        "modules of `convex/` import each other relatively: `from .helpers import ...`",
    ),
    "a slip in pyconvex": Row(
        "from pyconvex.sever import query\n",
        "ModuleNotFound",
        "there is no module `pyconvex.sever`",
        "convex/m.py:1:1",
        "did you mean `pyconvex.server`?",
    ),
    "a slip in what pyconvex offers": Row(
        "from pyconvex.server import http_ruoter\n",
        "NameNotFound",
        "`pyconvex.server` has no `http_ruoter`",
        "convex/m.py:1:1",
        "did you mean `http_router`?",
    ),
    "the wrong door": Row(
        "import pyconvex.server\nfrom pyconvex.values import define_schema\n",
        "NameNotFound",
        "`pyconvex.values` has no `define_schema`",
        "convex/m.py:2:1",
        "import it from `pyconvex.server`",
    ),
    "out of the folder": Row(
        "from ..shared import x\n",
        "ImportBeyondFolder",
        "this relative import leaves `convex/`",
        "convex/m.py:1:1",
        "modules beside the folder are imported by their plain names: `from shared import ...`",
    ),
    "itself": Row(
        "from .m import x\n", "CircularImport", "`convex/m.py` imports itself", "convex/m.py:1:1", "remove the import"
    ),
}


@pytest.mark.parametrize("row", IMPORTS.values(), ids=IMPORTS.keys())
def test_imports(folder: FunctionsFolder, row: Row) -> None:
    folder.write("helpers.py", "def create(): ...\n")
    folder.write("m.py", row.text)
    assert seen(folder.problem()) == (row.code, row.message, row.place, row.hint)


def test_the_dots_are_shown_as_they_are_resolved(folder: FunctionsFolder) -> None:
    folder.write("admin/users.py", "")
    folder.write("admin/reports.py", "from .user import x\n")
    assert seen(folder.problem())[1:] == (
        "`convex/admin/reports.py` imports `.user`, which does not exist",
        "convex/admin/reports.py:1:1",
        "did you mean `.users`?",
    )


def test_dots_lead_upwards(folder: FunctionsFolder) -> None:
    folder.write("shared.py", "")
    folder.write("admin/reports.py", "from ..shared import x\n")
    assert folder.problem().message == "`..shared` has no `x`"


def test_what_a_library_misses(folder: FunctionsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "library_that_misses.py").write_text("import its_dependency\n")
    monkeypatch.setattr(sys, "path", [str(packages), *sys.path])
    folder.write("m.py", "import library_that_misses\n")
    assert folder.problem().message == "there is no module `its_dependency`, which `library_that_misses` needs"


def test_a_circle_of_two(folder: FunctionsFolder) -> None:
    folder.write("teams.py", "x = 1\nfrom .users import User\nclass Team: ...\n")
    folder.write("users.py", "from .teams import Team\nclass User: ...\n")
    problem = folder.problem()
    assert seen(problem) == (
        "CircularImport",
        "`convex/users.py` and `convex/teams.py` import each other while loading",
        "convex/users.py:1:1",
        "move `Team` to a module that imports neither, or import it inside the function that needs it",
    )
    assert problem.also == (Place("convex/teams.py", 2),)


def test_a_circle_of_three(folder: FunctionsFolder) -> None:
    folder.write("a.py", "from .b import B\nclass A: ...\n")
    folder.write("b.py", "from .c import C\nclass B: ...\n")
    folder.write("c.py", "from . import a\nclass C(a.A): ...\n")
    problem = folder.problem()
    assert problem.message == (
        "these import each other in a circle: `convex/c.py` → `convex/a.py` → `convex/b.py` → `convex/c.py`"
    )
    assert (problem.place, problem.also) == (
        Place("convex/c.py", 2, 9),
        (Place("convex/a.py", 1), Place("convex/b.py", 1)),
    )


def test_modules_may_import_each_other_when_it_works(folder: FunctionsFolder) -> None:
    folder.write("a.py", "from . import b\ndef f(): return b.X\n")
    folder.write("b.py", "from . import a\nX = 1\n")
    assert folder.load().registry.modules["a"].f() == 1


RAISED = {
    "an exception": Row(
        "x = int('a')\n",
        "ValueError",
        "ValueError: invalid literal for int() with base 10: 'a'",
        "convex/m.py:1:5",
        None,
    ),
    "an exception without text": Row("raise LookupError\n", "LookupError", "LookupError", "convex/m.py:1:1", None),
    "an exit": Row(
        "exit(3)\n",
        "ExitAtImport",
        "this ends the program while the module is loaded",
        "convex/m.py:1:1",
        "remove the call to exit",
    ),
    "a slip in a name": Row(
        "value = 1\nprint(valeu)\n",
        "NameError",
        "name 'valeu' is not defined",
        "convex/m.py:2:7",
        "did you mean `value`?",
    ),
    "a forgotten decorator import": Row(
        "@query\nasync def f(ctx): ...\n",
        "NameError",
        "name 'query' is not defined",
        "convex/m.py:1:2",
        "add `from ._generated.server import query`",
    ),
    "a forgotten import of api": Row(
        "f = internal.m.f\n",
        "NameError",
        "name 'internal' is not defined",
        "convex/m.py:1:5",
        "add `from ._generated.api import internal`",
    ),
    "a forgotten import from a door": Row(
        "import pyconvex.server\nhttp = http_router()\n",
        "NameError",
        "name 'http_router' is not defined",
        "convex/m.py:2:8",
        "add `from pyconvex.server import http_router`",
    ),
    "a forgotten import of the library": Row(
        "x = json.dumps({})\n", "NameError", "name 'json' is not defined", "convex/m.py:1:5", "add `import json`"
    ),
    "a slip in an attribute": Row(
        "import json\njson.dunps\n",
        "AttributeError",
        "AttributeError: module 'json' has no attribute 'dunps'",
        "convex/m.py:2:1",
        "did you mean `dumps`?",
    ),
    "a table that is not declared": Row(
        "from ._generated.data_model import Id\nx = Id.message\n",
        "UnknownTable",
        "`convex/schema.py` declares no table `message`",
        "convex/m.py:2:5",
        "did you mean `Id.messages`?",
    ),
    "a task": Row(
        "import asyncio\n\nasync def f(): ...\n\nc = f()\ntry:\n    asyncio.create_task(c)\nfinally:\n    c.close()\n",
        "TaskAtImport",
        "this needs a running event loop, and there is none while modules are loaded",
        "convex/m.py:7:5",
        "create tasks and other asyncio objects inside a function",
    ),
    "a thread": Row(
        "import threading\n\nthreading.Thread(target=print).start()\n",
        "ThreadAtImport",
        "this starts a thread while the module is loaded",
        "convex/m.py:3:1",
        "start it inside an action; a thread of a module would outlive every reload",
    ),
    "a pool": Row(
        "from concurrent.futures import ThreadPoolExecutor\n\npool = ThreadPoolExecutor()\npool.submit(print)\n",
        "ThreadAtImport",
        "this starts a thread while the module is loaded",
        "convex/m.py:4:1",
        "start it inside an action; a thread of a module would outlive every reload",
    ),
    "a decorated twice": Row(
        "from pyconvex.server import mutation, query\n\n@query\n@mutation\nasync def f(ctx): ...\n",
        "AlreadyRegistered",
        "`f` is already a mutation, so it cannot become a query too",
        "convex/m.py:5",
        "move what both need into a plain function, and call it from two registered ones",
    ),
}


@pytest.mark.parametrize("row", RAISED.values(), ids=RAISED.keys())
def test_what_modules_raise(folder: FunctionsFolder, row: Row) -> None:
    folder.write(
        "schema.py",
        """
        from pyconvex.server import define_schema, define_table
        default = define_schema({"messages": define_table({})})
        """,
    )
    folder.write("m.py", row.text)
    assert seen(folder.problem()) == (row.code, row.message, row.place, row.hint)


def test_the_innermost_user_frame_is_the_place(folder: FunctionsFolder) -> None:
    folder.write("helpers.py", "import json\n\ndef parse(text):\n    return json.loads(text)\n")
    folder.write("m.py", "from .helpers import parse\n\nX = parse('{')\n")
    problem = folder.problem()
    assert (problem.code, problem.place) == ("JSONDecodeError", Place("convex/helpers.py", 4, 12))
    assert problem.also == (Place("convex/m.py", 3, 5),)
    assert problem.trace is not None
    assert "json/decoder.py" in problem.trace


def test_a_failing_module_beside_the_folder(folder: FunctionsFolder) -> None:
    folder.write("../beside_broken.py", "x = 1\ny = x / 0\n")
    folder.write("../beside_unclosed.py", "x = (\n")
    folder.write("a.py", "import beside_broken\n")
    folder.write("b.py", "import beside_broken\n")
    folder.write("c.py", "import beside_unclosed\n")
    first, second = folder.problems()
    assert (first.code, first.place, first.also) == (
        "ZeroDivisionError",
        Place("beside_broken.py", 2, 5),
        (Place("convex/a.py", 1, 1),),
    )
    assert seen(second)[:3] == ("SyntaxError", "'(' was never closed", "beside_unclosed.py:1:5")
    assert folder.loader.sources["beside_unclosed.py"] == "x = (\n"


def test_a_variable_that_is_not_set_waits_for_the_variable(folder: FunctionsFolder) -> None:
    folder.write("m.py", "import os\nKEY = os.environ['NO_SUCH_VARIABLE_HERE']\n")
    problem = folder.problem()
    assert seen(problem) == (
        "VariableNotSet",
        "the environment variable `NO_SUCH_VARIABLE_HERE` is not set",
        "convex/m.py:2:7",
        "set it with `pyconvex env set NO_SUCH_VARIABLE_HERE ...`, or read it inside the function that needs it",
    )
    assert problem.remedy is Remedy.SET_VARIABLE


def test_a_library_may_start_threads(folder: FunctionsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "library_with_thread.py").write_text(
        "import threading\n\ndef start():\n    threading.Thread(target=print).start()\n"
    )
    monkeypatch.setattr(sys, "path", [str(packages), *sys.path])
    folder.write("m.py", "import library_with_thread\nlibrary_with_thread.start()\n")
    folder.load()


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed) as failed:
        Loader(tmp_path / "convex").load()
    assert seen(failed.value.problems[0]) == (
        "FolderMissing",
        "the functions folder `convex/` does not exist",
        None,
        "run `pyconvex init` in the project's folder, or start in the folder that holds it",
    )


def test_a_file_that_cannot_be_read(folder: FunctionsFolder) -> None:
    (folder.path / "m.py").symlink_to(folder.path / "nowhere")
    folder.write("messages.py", "X = 1\n")
    assert set(folder.load().registry.modules) == {"messages"}, "a link to nothing is no file"


def test_a_bad_annotation(folder: FunctionsFolder) -> None:
    folder.write(
        "m.py",
        """
        from pyconvex.server import query

        @query
        async def one(ctx, a: int, b: set[str]): ...

        @query
        async def two(ctx, a: "Missing") -> complex: ...
        """,
    )
    problems = folder.problems()
    assert {problem.code for problem in problems} == {"UnknownAnnotation"}
    assert [str(problem.place) for problem in problems] == ["convex/m.py:4:28", "convex/m.py:7:20", "convex/m.py:7:37"]


def test_the_old_version_s_lines_come_back_after_a_failure(folder: FunctionsFolder) -> None:
    path = str(folder.write("m.py", "X = 1\n"))
    folder.load()
    folder.write("m.py", "Y = 1 / 0\n")
    assert "Y = 1 / 0" in (folder.problem().trace or "")
    assert linecache.getline(path, 1) == "X = 1\n"


def test_a_failed_version_leaves_nothing_behind(folder: FunctionsFolder) -> None:
    finders, modules = [*sys.meta_path], {*sys.modules}
    folder.write("a.py", "X = 1\n")
    folder.write("b.py", "1 / 0\n")
    folder.problem()
    assert sys.meta_path == finders
    assert not [name for name in {*sys.modules} - modules if name.startswith("_pyconvex_v")]


def test_the_failure_does_not_keep_the_modules(folder: FunctionsFolder) -> None:
    alive: list[weakref.ref[type]] = []
    loader = Loader(folder.path, builtins={"watch": lambda thing: alive.append(weakref.ref(thing))})  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - called by the module
    folder.write("a.py", "class Thing: ...\nwatch(Thing)\n")
    folder.write("b.py", "1 / 0\n")
    with pytest.raises(LoadFailed) as failed:
        loader.load()
    gc.collect()
    assert [reference() for reference in alive] == [None]
    assert failed.value.problems
