"""Every row of the table of what `http.py` may be, as a problem."""

from pathlib import Path

import pytest

from support.folder import FunctionsFolder, seen
from support.http_modules import HANDLERS, ROUTER, ROUTES, ROWS, Row


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_bad_http_module_is_one_problem_with_its_fix(folder: FunctionsFolder, row: Row) -> None:
    folder.write("messages.py", HANDLERS)
    folder.write("http.py", row.text)
    problem = folder.problem()
    assert seen(problem) == (row.code, row.message, row.place, row.hint)
    assert problem.also == row.also


def test_no_http_module_means_no_routes(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    loaded = folder.load()
    assert loaded.registry.router is None
    assert loaded.warnings == ()


def test_the_form(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    folder.write("http.py", ROUTES + 'http.route(path="/x", method="GET", handler=get)\ndefault = http\n')
    router = folder.load().registry.router
    assert router is not None
    assert [str(route) for route in router.routes] == ["GET /x"]


def test_every_route_without_a_handler_is_named(folder: FunctionsFolder) -> None:
    folder.write(
        "http.py",
        ROUTER + 'http = http_router()\nhttp.route(path="/a", method="GET")\nhttp.route(path="/b", method="GET")\n'
        "default = http\n",
    )
    assert [str(problem.place) for problem in folder.problems()] == ["convex/http.py:3", "convex/http.py:4"]


SEVERAL = """
http.route(path="a", method="GET", handler=get)


@http.route(path_prefix="/b", method="GET")
async def b(ctx, request) -> Later:
    return Response("b")


http.route(path="/c", method="GET", handler=get)
for path in ("/d", "/c"):
    http.route(path=path, method="GET", handler=get)
http.route(
    path="/e",
    method="get",
    handler=get,
)
http.mount("/f", get)
default = http
"""


def test_all_bad_routes_are_told_at_once(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    folder.write("http.py", "from __future__ import annotations\n" + ROUTES + SEVERAL)
    first = 2 + ROUTES.count("\n")
    assert [(problem.code, str(problem.place)) for problem in folder.problems()] == [
        ("PathWithoutSlash", f"convex/http.py:{first + 1}"),
        ("PrefixWithoutSlash", f"convex/http.py:{first + 4}"),
        ("DuplicateRoute", f"convex/http.py:{first + 11}"),
        ("InvalidMethod", f"convex/http.py:{first + 12}"),
        ("PrefixWithoutSlash", f"convex/http.py:{first + 17}"),
    ]


def test_routes_without_a_handler_are_told_of_beside_other_bad_ones(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    text = (
        'http.route(path="/a", method="GET")\n'
        'http.route(path="b", method="GET", handler=get)\n'
        'http.route(path="/c", method="GET")\n'
        "default = http\n"
    )
    folder.write("http.py", ROUTES + text)
    first = 1 + ROUTES.count("\n")
    assert [(problem.code, str(problem.place)) for problem in folder.problems()] == [
        ("PathWithoutSlash", f"convex/http.py:{first + 1}"),
        ("RouteWithoutHandler", f"convex/http.py:{first}"),
        ("RouteWithoutHandler", f"convex/http.py:{first + 2}"),
    ]


def test_a_route_whose_function_is_never_reached_is_not_without_one(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    stacked = '@http.route(path="/a", method="GET")\n@http.route(path="a", method="GET")\n'
    failing = '@http.route(path="/b", method="GET")\nasync def b(ctx, request=missing):\n    pass\n'
    folder.write("http.py", ROUTES + stacked + "async def a(ctx, request):\n    pass\n" + failing)
    assert [problem.code for problem in folder.problems()] == ["PathWithoutSlash"]


def test_ten_of_them_are_enough(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    folder.write("http.py", ROUTES + 'http.route(path="a", method="GET", handler=get)\n' * 12 + "default = http\n")
    assert len(folder.problems()) == 10


def test_what_follows_from_a_bad_route_is_not_told(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    bad = '@http.route(path="a", method="GET")\nasync def a(ctx, request):\n    return Response("a")\n'
    later = 'http.route(path="/b", method="GET", handler=a)\nhttp.route(path="b", method="GET", handler=get)\n'
    folder.write("http.py", ROUTES + bad + later + "default = http\n")
    assert [problem.code for problem in folder.problems()] == ["PathWithoutSlash"]


def test_bad_routes_of_another_module_are_told_once(folder: FunctionsFolder) -> None:
    folder.write("messages.py", HANDLERS)
    bad = 'http.route(path="a", method="GET", handler=get)\nhttp.route(path="b", method="GET", handler=get)\n'
    folder.write("routes.py", ROUTES + bad)
    folder.write("http.py", "from .routes import http as default\n")
    assert [problem.place and problem.place.file for problem in folder.problems()] == ["convex/routes.py"] * 2


def test_the_rest_of_a_module_with_a_bad_route_has_no_more_time_than_the_whole(tmp_path: Path) -> None:
    folder = FunctionsFolder(tmp_path, seconds=0.3)
    folder.write("messages.py", HANDLERS)
    folder.write("http.py", ROUTES + 'http.route(path="a", method="GET", handler=get)\nwhile True:\n    pass\n')
    assert [problem.code for problem in folder.problems()] == ["LoadTimeout"]


def test_a_router_from_another_module_will_do(folder: FunctionsFolder) -> None:
    folder.write("routers.py", ROUTER + "http = http_router()\n")
    folder.write("http.py", "from .routers import http as default\n")
    assert folder.load().registry.router is not None


@pytest.mark.parametrize("name", ["Http.py", "https.py", "routes.py"])
def test_a_misnamed_http_module_is_a_warning(folder: FunctionsFolder, name: str) -> None:
    folder.write(name, ROUTER + "default = http_router()\n")
    loaded = folder.load()
    assert loaded.registry.router is None
    assert [seen(warning) for warning in loaded.warnings] == [
        (
            "DidYouMeanHttp",
            f"no routes are read from `convex/{name}`, only from `http.py`",
            f"convex/{name}:1",
            "rename it to `http.py` if it holds the router",
        )
    ]


def test_routes_beside_an_http_module_are_nobodys_business(folder: FunctionsFolder) -> None:
    folder.write("routes.py", "PATH = '/x'\n")
    folder.write("http.py", ROUTER + "default = http_router()\n")
    assert folder.load().warnings == ()


def test_an_http_module_deeper_down_is_an_ordinary_one(folder: FunctionsFolder) -> None:
    folder.write("admin/http.py", "default = None\n")
    assert folder.load().registry.router is None
