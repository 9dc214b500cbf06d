"""What modules of a version may import, from where, and for how long."""

import gc
import importlib
import inspect
import pickle
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pyconvex.loading.loader import Loader
from support.folder import FunctionsFolder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, with PyPI's `convex` client among them."""
    packages = tmp_path / "site-packages"
    (packages / "convex").mkdir(parents=True)
    (packages / "convex" / "__init__.py").write_text("from convex.values import CLIENT as ConvexClient\n")
    (packages / "convex" / "values.py").write_text("CLIENT = 'the client of PyPI'\n")
    monkeypatch.setattr(sys, "path", [str(packages), *sys.path])
    hidden = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == "convex"}
    yield packages
    for name in [name for name in sys.modules if name.partition(".")[0] == "convex"]:
        del sys.modules[name]
    sys.modules.update(hidden)


def module(folder: FunctionsFolder, name: str) -> ModuleType:
    return folder.load().registry.modules[name]


def test_relative_imports_in_every_direction(folder: FunctionsFolder) -> None:
    folder.write("shared.py", "X = 1\n")
    folder.write("admin/deep/base.py", "from ...shared import X\nY = X + 1\n")
    folder.write(
        "admin/reports.py",
        "from . import deep\nfrom .deep.base import Y\nfrom .. import shared\nfrom .deep import base\n",
    )
    reports = module(folder, "admin/reports")
    assert (reports.Y, reports.shared.X, reports.base.Y, reports.deep.base.Y) == (2, 1, 2, 2)


def test_the_folder_by_its_own_name(folder: FunctionsFolder) -> None:
    folder.write("shared.py", "X = 1\n")
    folder.write("admin/base.py", "Y = 2\n")
    folder.write(
        "messages.py",
        """
        import convex.shared
        import convex.admin.base as base
        from convex.shared import X
        from convex import shared
        from convex.admin.base import Y
        SAME = convex.shared is shared and convex.admin.base is base
        """,
    )
    messages = module(folder, "messages")
    assert (messages.X, messages.Y, messages.SAME) == (1, 2, True)
    assert messages.shared.__name__.startswith("_pyconvex_v")


def test_the_client_of_pypi_stays_importable(folder: FunctionsFolder, installed: Path) -> None:
    folder.write("shared.py", "X = 1\n")
    folder.write("__init__.py", "")
    folder.write(
        "messages.py",
        """
        import convex
        import convex.values
        from convex import ConvexClient
        from convex.values import CLIENT
        from convex.shared import X
        """,
    )
    messages = module(folder, "messages")
    assert (messages.ConvexClient, messages.CLIENT, messages.X) == ("the client of PyPI", "the client of PyPI", 1)
    assert messages.convex.ConvexClient == "the client of PyPI"


def test_a_module_of_the_folder_beats_the_client(folder: FunctionsFolder, installed: Path) -> None:
    folder.write("values.py", "CLIENT = 'the folder'\n")
    folder.write("messages.py", "from convex.values import CLIENT\n")
    assert module(folder, "messages").CLIENT == "the folder"


def test_an_import_inside_a_handler_stays_in_its_version(folder: FunctionsFolder) -> None:
    folder.write("shared.py", "X = 'old'\n")
    folder.write(
        "messages.py",
        "def late():\n    from .shared import X\n    from convex.shared import X as Y\n    return X + Y\n",
    )
    old = module(folder, "messages")
    folder.write("shared.py", "X = 'new'\n")
    new = module(folder, "messages")
    assert (old.late(), new.late()) == ("oldold", "newnew")


def test_a_module_imported_late_is_the_version_s_own_too(folder: FunctionsFolder) -> None:
    folder.write("_late.py", "X = 'old'\n")
    folder.write("messages.py", "def late():\n    from ._late import X\n    return X\n")
    old = module(folder, "messages")
    folder.write("_late.py", "X = 'new'\n")
    assert old.late() == "old"


def test_importlib_and_inspect_find_the_version(folder: FunctionsFolder) -> None:
    folder.write("shared.py", "X = 1\n\n\ndef f() -> int:\n    return X\n")
    folder.write(
        "messages.py",
        """
        import importlib
        from dataclasses import dataclass

        shared = importlib.import_module(".shared", __package__)

        @dataclass
        class Point:
            x: "int"
        """,
    )
    messages = module(folder, "messages")
    assert messages.shared.X == 1
    assert importlib.import_module(".shared", messages.__package__) is messages.shared
    assert inspect.getsource(messages.shared.f) == "def f() -> int:\n    return X\n"
    assert pickle.loads(pickle.dumps(messages.Point(3))) == messages.Point(3)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(".missing", messages.__package__)


def test_a_module_beside_a_package_of_its_name(folder: FunctionsFolder) -> None:
    folder.write("shared.py", "X = 1\n")
    folder.write("admin.py", "from .shared import X\nfrom .admin.reports import Y\n")
    folder.write("admin/reports.py", "Y = 2\n")
    loaded = folder.load()
    assert loaded.registry.modules["admin"].Y == 2
    assert loaded.registry.modules["admin/reports"].Y == 2


def test_init_files_run_but_are_no_function_modules(folder: FunctionsFolder) -> None:
    folder.write("__init__.py", "ROOT = 1\n")
    folder.write("admin/__init__.py", "from .reports import Y\n")
    folder.write("admin/reports.py", "Y = 2\n")
    folder.write("messages.py", "from . import ROOT\nfrom .admin import Y\n")
    messages = module(folder, "messages")
    assert (messages.ROOT, messages.Y) == (1, 2)


def test_star_imports(folder: FunctionsFolder) -> None:
    folder.write("admin/__init__.py", "__all__ = ['reports']\n")
    folder.write("admin/reports.py", "Y = 2\n")
    folder.write("messages.py", "from .admin import *\n")
    assert module(folder, "messages").reports.Y == 2


def test_the_main_guard_does_not_run(folder: FunctionsFolder) -> None:
    folder.write("messages.py", "if __name__ == '__main__':\n    raise SystemExit\n")
    folder.load()


def test_modules_beside_the_folder_are_ordinary_modules(folder: FunctionsFolder) -> None:
    folder.write("../beside_one.py", "import beside_two\nX = beside_two.late()\n")
    folder.write("../beside_two.py", "def late():\n    import beside_three.part\n    return beside_three.part.X\n")
    folder.write("../beside_three/part.py", "X = []\n")
    folder.write(
        "messages.py", "from beside_one import X\n\ndef late():\n    import beside_one\n    return beside_one\n"
    )
    before = [*sys.path]
    loaded = folder.load()
    old = loaded.registry.modules["messages"]
    folder.write("messages.py", "# changed\nfrom beside_one import X\n")
    again = folder.load()
    assert again.registry.modules["messages"].X is old.X, "they are not loaded again"
    assert old.late().__name__ == "beside_one"
    assert sys.path == before
    assert loaded.outside == {
        folder.root / "beside_one.py",
        folder.root / "beside_two.py",
        folder.root / "beside_three" / "part.py",
    }


def test_other_code_does_not_find_the_project_s_root(folder: FunctionsFolder) -> None:
    folder.write("../beside_four.py", "X = 1\n")
    folder.write("../beside_five.py", "X = 1\n")
    folder.write("messages.py", "from beside_four import X\n")
    folder.load()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("beside_five")


def test_the_root_never_hides_the_standard_library(folder: FunctionsFolder) -> None:
    folder.write("../email.py", "raise AssertionError\n")
    folder.write("../json.py", "raise AssertionError\n")
    folder.write("messages.py", "import json\nfrom email import message_from_string\n")
    folder.load()


def test_a_folder_in_the_root_does_not_hide_an_installed_package(folder: FunctionsFolder) -> None:
    folder.write("../msgspec/notes.txt", "not a package")
    folder.write("messages.py", "import msgspec\nX = msgspec.json\n")
    folder.load()


def test_two_projects_with_a_module_of_one_name(tmp_path: Path) -> None:
    first, second = FunctionsFolder(tmp_path / "1"), FunctionsFolder(tmp_path / "2")
    for number, folder in enumerate((first, second)):
        folder.write("../beside_same.py", f"X = {number}\n")
        folder.write("messages.py", "from beside_same import X\n")
    assert [module(folder, "messages").X for folder in (first, second)] == [0, 1]
    first.retire()
    second.retire()


def test_builtins_and_substitutes_reach_user_modules_only(folder: FunctionsFolder) -> None:
    clock = ModuleType("time")
    clock.__dict__["time"] = lambda: 42.0
    loader = Loader(folder.path, builtins={"print": "the engine's"}, substitutes={"time": clock})
    folder.write("../beside_six.py", "import time\nNOW = time.time()\n")
    folder.write(
        "messages.py",
        """
        import time
        import time as other
        from time import time as now
        import beside_six
        VALUES = [time.time(), other.time(), now()]
        PRINT = print

        def late():
            import time
            return time.time()
        """,
    )
    loaded = loader.load()
    messages = loaded.registry.modules["messages"]
    assert messages.VALUES == [42.0, 42.0, 42.0]
    assert messages.late() == 42.0
    assert messages.PRINT == "the engine's"
    assert messages.beside_six.NOW > 1e9
    loaded.retire()


def test_retired_versions_are_freed(folder: FunctionsFolder) -> None:
    before = {*sys.modules}
    folder.write("../beside_seven.py", "X = 1\n")
    folder.write("schema.py", "from pyconvex.server import define_schema\ndefault = define_schema({})\n")
    folder.write("shared.py", "import beside_seven\nclass Thing: ...\n")
    folder.write(
        "messages.py",
        """
        from ._generated.server import query
        from .shared import Thing

        @query
        async def listed(ctx, limit: int): ...
        """,
    )
    folder.write("http.py", "from pyconvex.server import http_router\ndefault = http_router()\n")
    alive: list[weakref.ref[object]] = []
    for number in range(5):
        folder.write("messages.py", (folder.path / "messages.py").read_text() + f"\nX = {number}\n")
        loaded = folder.loader.load()
        parts: list[object] = [loaded.registry, *loaded.registry.modules.values()]
        alive += [weakref.ref(part) for part in (*parts, loaded.registry.modules["shared"].Thing)]
        loaded.retire()
        del loaded, parts
    folder.write("messages.py", "1 / 0\n")
    folder.problems()
    folder.write("messages.py", "")
    last = folder.load()
    private = {name.partition(".")[0] for name in {*sys.modules} - before if name.startswith("_pyconvex_v")}
    assert private == {f"_pyconvex_v{last.registry.version}"}
    gc.collect()
    assert sum(reference() is not None for reference in alive) == 0


def test_a_retired_version_runs_on_but_imports_nothing_new(folder: FunctionsFolder) -> None:
    folder.write("_other.py", "")
    folder.write("shared.py", "X = 1\n")
    folder.write(
        "messages.py", "def known():\n    from .shared import X\n    return X\n\ndef new():\n    from . import _other\n"
    )
    loaded = folder.load()
    loaded.retire()
    messages = loaded.registry.modules["messages"]
    assert messages.known() == 1
    with pytest.raises(ModuleNotFoundError, match="belongs to a version that was replaced"):
        messages.new()
    assert messages.__name__ not in sys.modules
