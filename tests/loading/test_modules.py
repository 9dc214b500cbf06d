"""Which files are modules, which names are functions, and what is kept between loads."""

import os
import time
from pathlib import Path

import pytest

from pyconvex.errors import LoadFailed, Place
from pyconvex.functions.function import Kind, Visibility
from pyconvex.loading.folder import Folder
from pyconvex.loading.loader import Loader
from pyconvex.loading.registry import handler_name, route_place
from support.folder import FunctionsFolder, seen

FUNCTION = """
from pyconvex.server import query

@query
async def {name}(ctx): ...
"""


def test_every_module_but_private_ones_defines_functions(folder: FunctionsFolder) -> None:
    for name in (
        "messages.py",
        "admin/reports.py",
        "_private.py",
        "_tools/more.py",
        "admin/_private.py",
        "__init__.py",
        ".hidden.py",
        ".git/hooks.py",
        "#messages.py#",
        ".#messages.py",
        "messages.py~",
        "messages.py.swp",
        "__pycache__/old.py",
        "_generated/api.py",
        "node_modules/x/y.py",
        "notes.md",
    ):
        folder.write(name, FUNCTION.format(name="f"))
    loaded = folder.load()
    assert set(loaded.registry.functions) == {"messages:f", "admin/reports:f"}
    assert set(loaded.registry.modules) == {"messages", "admin/reports"}
    assert loaded.warnings == ()


def test_private_modules_are_loaded_when_they_are_imported(folder: FunctionsFolder) -> None:
    folder.write("_private.py", FUNCTION.format(name="f"))
    folder.write("messages.py", "from ._private import f\n")
    loaded = folder.load()
    assert set(loaded.registry.modules) == {"messages", "_private"}
    assert loaded.registry.functions == {}


def test_files_of_other_languages_are_noted_once(folder: FunctionsFolder) -> None:
    folder.write("a.ts", "")
    folder.write("b/c.js", "")
    folder.write("_generated/api.js", "")
    assert [seen(warning) for warning in folder.load().warnings] == [
        (
            "ForeignFile",
            "`convex/a.ts` and 1 more ignored: functions are written in Python here",
            None,
            "move TypeScript and JavaScript files out of this folder",
        )
    ]


@pytest.mark.parametrize(
    ("name", "shown", "hint"),
    [
        ("my-module.py", "convex/my-module.py", "rename it to `my_module.py`"),
        ("copy of m.py", "convex/copy of m.py", "rename it to `copy_of_m.py`"),
        ("m.test.py", "convex/m.test.py", "rename it to `m_test.py`"),
        ("2fa.py", "convex/2fa.py", "rename it to `m_2fa.py`"),
        ("grüße.py", "convex/grüße.py", "rename it to `gr__e.py`"),
        ("my-admin/x.py", "convex/my-admin/", "rename it to `my_admin/`"),
    ],
)
def test_names_that_cannot_be_imported(folder: FunctionsFolder, name: str, shown: str, hint: str) -> None:
    folder.write(name, "X = 1\n")
    assert seen(folder.problem()) == (
        "IllegalModuleName",
        f"`{shown}` cannot be imported: names of modules are made of letters, digits and `_`",
        f"convex/{name}:1",
        hint,
    )


def test_a_linked_folder_that_contains_itself_ends(folder: FunctionsFolder) -> None:
    folder.write("admin/reports.py", FUNCTION.format(name="f"))
    (folder.path / "admin" / "loop").symlink_to(folder.path, target_is_directory=True)
    assert "admin/reports:f" in folder.load().registry.functions


def test_a_folder_deeper_in_the_project(tmp_path: Path) -> None:
    folder = tmp_path / "app" / "backend" / "convex"
    (folder / "admin").mkdir(parents=True)
    (tmp_path / "app" / "beside_nine.py").write_text("X = 1\n")
    (folder / "m.py").write_text("import beside_nine\nfrom convex.admin.n import Y\n" + FUNCTION.format(name="f"))
    (folder / "admin" / "n.py").write_text("Y = 2\n")
    loader = Loader(folder, root=tmp_path / "app")
    loaded = loader.load()
    loaded.retire()
    assert loaded.registry.functions["m:f"].place == Place("backend/convex/m.py", 7)
    assert (loaded.registry.root, loaded.outside) == (tmp_path / "app", {tmp_path / "app" / "beside_nine.py"})
    (folder / "admin" / "n.py").write_text("from .missing import x\n")
    with pytest.raises(LoadFailed) as failed:
        loader.load()
    assert failed.value.message == "`backend/convex/admin/n.py` imports `.missing`, which does not exist"


def test_functions_kinds_and_places(folder: FunctionsFolder) -> None:
    folder.write(
        "messages.py",
        """
        from pyconvex.server import *
        from pyconvex.values import v

        @query
        async def listed(ctx, channel: str) -> list[str]: ...

        @internal_mutation(args={"n": v.number()})
        async def bump(ctx, n): ...

        @http_action
        async def post(ctx, request): ...

        @action
        async def default(ctx): ...

        def helper(): ...
        """,
    )
    functions = folder.load().registry.functions
    assert [(f.path, f.kind, f.visibility, f.place) for f in functions.values()] == [
        ("messages:listed", Kind.QUERY, Visibility.PUBLIC, Place("convex/messages.py", 5)),
        ("messages:bump", Kind.MUTATION, Visibility.INTERNAL, Place("convex/messages.py", 8)),
        ("messages:default", Kind.ACTION, Visibility.PUBLIC, Place("convex/messages.py", 14)),
    ]
    assert str(functions["messages:listed"].args) == "v.object({channel: v.string()})"
    assert str(functions["messages:listed"].returns) == "v.array(v.string())"


def test_functions_answer_to_both_spellings(folder: FunctionsFolder) -> None:
    folder.write("user_data.py", FUNCTION.format(name="send_one"))
    folder.write("myModule.py", FUNCTION.format(name="sendTwo"))
    folder.write("messages.py", FUNCTION.format(name="default"))
    registry = folder.load().registry
    paths = {
        "user_data:send_one": "user_data:send_one",
        "userData:sendOne": "user_data:send_one",
        "user_data.py:sendOne": "user_data:send_one",
        "user_data.js:send_one": "user_data:send_one",
        "my_module:send_two": "myModule:sendTwo",
        "messages": "messages:default",
        "messages.js": "messages:default",
        "messages:default": "messages:default",
        "messages:other": None,
        "": None,
        ":": None,
    }
    for path, expected in paths.items():
        found = registry.find(path)
        assert (found and found.path) == expected, path


def test_two_spellings_of_one_function(folder: FunctionsFolder) -> None:
    folder.write("m.py", FUNCTION.format(name="send_one") + FUNCTION.format(name="sendOne"))
    problem = folder.problem()
    assert seen(problem) == (
        "SameFunctionTwice",
        "`send_one` and `sendOne` are two spellings of one function name",
        "convex/m.py:9",
        "rename one of them: clients may call either spelling",
    )
    assert problem.also == (Place("convex/m.py", 4),)


def test_a_function_name_beyond_ascii(folder: FunctionsFolder) -> None:
    folder.write("m.py", FUNCTION.format(name="grüße"))
    assert seen(folder.problem()) == (
        "IllegalFunctionName",
        "`grüße` cannot be called by clients: names of functions are made of ASCII letters, digits and `_`",
        "convex/m.py:4",
        "rename it",
    )


def test_two_spellings_of_one_module(folder: FunctionsFolder) -> None:
    folder.write("userData.py", "")
    folder.write("user_data.py", "")
    problem = folder.problem()
    assert (problem.code, problem.place, problem.also) == (
        "SameModuleTwice",
        Place("convex/user_data.py", 1),
        (Place("convex/userData.py", 1),),
    )


@pytest.mark.parametrize("other", ["report.py", "report/daily.py"])
def test_a_function_and_a_module_of_one_path(folder: FunctionsFolder, other: str) -> None:
    folder.write("admin.py", FUNCTION.format(name="report"))
    folder.write(f"admin/{other}", FUNCTION.format(name="default"))
    problem = folder.problem()
    assert (problem.message, problem.hint) == (
        f"the function `report` and `convex/admin/{other}` are both `admin.report`",
        "rename one of them",
    )
    assert problem.place is not None
    assert (problem.code, problem.place.file) == ("SamePathTwice", "convex/admin.py")
    assert problem.also == (Place(f"convex/admin/{other}", 1),)


def test_other_names_of_a_module_beside_its_folder_are_free(folder: FunctionsFolder) -> None:
    folder.write("admin.py", FUNCTION.format(name="f") + "report = 1\n")
    folder.write("admin/report.py", FUNCTION.format(name="default"))
    assert set(folder.load().registry.functions) == {"admin:f", "admin/report:default"}


def test_an_imported_function_belongs_to_its_own_module(folder: FunctionsFolder) -> None:
    folder.write("a.py", FUNCTION.format(name="f"))
    folder.write("b.py", "from .a import f\nfrom .a import f as g\n")
    folder.write("c.py", "from .a import *\n")
    folder.write("d.py", "from .a import f as h\n__all__ = ['h']\n")
    assert set(folder.load().registry.functions) == {"a:f", "d:h"}


def test_functions_made_by_a_wrapper_belong_to_where_they_are_bound(folder: FunctionsFolder) -> None:
    folder.write(
        "_custom.py",
        """
        from pyconvex.server import query

        def for_members(handler):
            @query
            async def wrapper(ctx, name: str): ...
            return wrapper
        """,
    )
    folder.write(
        "a.py", "from ._custom import for_members\n\n@for_members\nasync def f(ctx): ...\n\ng = for_members(f)\n"
    )
    assert set(folder.load().registry.functions) == {"a:f", "a:g"}


def test_bare_excepts_let_time_limits_through(tmp_path: Path) -> None:
    class Limit(BaseException):
        pass

    folder = FunctionsFolder(tmp_path)
    folder.write(
        "m.py",
        """
        def attempts(stop):
            kept = []
            try:
                stop()
            except:
                kept.append("bare")
            try:
                stop()
            except (ValueError, BaseException) as error:
                kept.append("base")
            return kept

        def line():
            try:
                raise ValueError
            except BaseException as error:
                return error.__traceback__.tb_lineno
        """,
    )
    loaded = Loader(folder.path, builtins={"__pyconvex_limit__": Limit}).load()
    module = loaded.registry.modules["m"]

    def stop() -> None:
        raise Limit

    def fail() -> None:
        raise SystemExit

    with pytest.raises(Limit):
        module.attempts(stop)
    assert module.attempts(fail) == ["bare", "base"]
    assert module.line() == 15
    loaded.retire()


def test_warnings_of_the_compiler(folder: FunctionsFolder, recwarn: pytest.WarningsRecorder) -> None:
    folder.write("m.py", "import re\nX = 1\nif X is 1:\n    pass\n")
    for _ in range(2):  # also when nothing is compiled again
        warning = folder.load().warnings[0]
        assert (warning.code, warning.place) == ("SyntaxWarning", Place("convex/m.py", 3))
        assert warning.message.startswith('"is" with')
    assert not list(recwarn)


def test_no_bytecode_is_written(folder: FunctionsFolder) -> None:
    folder.write("../beside_eight.py", "X = 1\n")
    folder.write("m.py", "import beside_eight\n")
    folder.load()
    assert not list(folder.root.rglob("*.pyc"))


def test_quick_saves_of_equal_length_are_all_seen(folder: FunctionsFolder) -> None:
    path = folder.write("m.py", "X = 0\n")
    for number in range(1, 9):
        path.write_text(f"X = {number}\n")
        loaded = folder.load()
        assert number == loaded.registry.modules["m"].X


def test_a_save_with_the_same_time_stamp_is_seen(folder: FunctionsFolder) -> None:
    path = folder.write("m.py", "X = 0\n")
    stat = path.stat()
    folder.load()
    path.write_text("X = 1\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert folder.load().registry.modules["m"].X == 1


def test_files_that_settled_are_not_read_again(folder: FunctionsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder.write("m.py", "X = 0\n")
    scanned = Folder(folder.path, "convex")
    first = scanned.scan().sources["m"]
    while time.time_ns() - path.stat().st_ctime_ns < 100_000_000:
        time.sleep(0.01)
    assert scanned.scan().sources["m"] is first, "read again, but not compiled again"
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read again"))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in
    assert scanned.scan().sources["m"] is first


def test_a_changed_import_is_seen_by_annotations(folder: FunctionsFolder) -> None:
    shape = "from typing import TypedDict\nclass Shape(TypedDict):\n    {field}: int\n"
    folder.write("shapes.py", shape.format(field="x"))
    folder.write("between.py", "from . import shapes\nShape = shapes.Shape\n")
    folder.write(
        "m.py",
        """
        from pyconvex.server import query
        from .between import Shape

        @query
        async def area(ctx, shape: Shape): ...
        """,
    )
    folder.write("other.py", FUNCTION.format(name="f"))
    first = folder.load().registry.functions
    folder.write("shapes.py", shape.format(field="y"))
    second = folder.load().registry.functions
    assert [str(f["m:area"].args) for f in (first, second)] == [
        "v.object({shape: v.object({x: v.float64()})})",
        "v.object({shape: v.object({y: v.float64()})})",
    ]
    assert second["other:f"].args is first["other:f"].args, "what is not concerned is not worked out again"
    assert second["other:f"].handler is not first["other:f"].handler


def test_a_deleted_module_is_gone(folder: FunctionsFolder) -> None:
    path = folder.write("m.py", FUNCTION.format(name="f"))
    folder.load()
    path.unlink()
    assert folder.load().registry.functions == {}


def test_handlers_have_names(folder: FunctionsFolder) -> None:
    folder.write("m.py", "from pyconvex.server import http_action\n\n@http_action\nasync def get(ctx, request): ...\n")
    folder.write(
        "http.py",
        """
        from pyconvex.server import http_action, http_router
        from .m import get
        http = http_router()
        http.route(path="/a", method="GET", handler=get)

        @http.route(path="/b", method="GET")
        async def here(ctx, request): ...

        for path in ("/c",):
            @http.route(path=path, method="GET")
            async def in_a_loop(ctx, request): ...
            del in_a_loop

        class App:
            async def __call__(self, scope, receive, send): ...

        site = App()
        http.mount("/site/", site)
        http.mount("/other/", App())
        default = http
        """,
    )
    registry = folder.load().registry
    assert registry.router is not None
    assert [
        (route.path, handler_name(registry, route), str(route_place(registry, route)))
        for route in registry.router.routes
    ] == [
        ("/a", "m:get", "convex/http.py:4"),
        ("/b", "http:here", "convex/http.py:6"),
        ("/c", "http:in_a_loop", "convex/http.py:10"),
        ("/other/*", "http:App", "convex/http.py:19"),
        ("/site/*", "http:site", "convex/http.py:18"),
    ]
