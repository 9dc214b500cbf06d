"""What `pyconvex routes --check` warns of."""

import time

import pytest

from pyconvex.errors import Place
from pyconvex.loading.route_checks import check_routes
from support.folder import FunctionsFolder, seen

HEAD = """
from pyconvex.server import Cors, Response, http_action, http_router

@http_action
async def plain(ctx, request):
    return Response("a")

@http_action
async def shared(ctx, request):
    return Response("a", headers={"Access-Control-Allow-Origin": "*"})

"""


def routes(folder: FunctionsFolder, *lines: str, cors: str = "") -> None:
    folder.write("http.py", HEAD.lstrip() + f"http = http_router({cors})\n" + "\n".join(lines) + "\ndefault = http\n")


def test_a_router_without_faults(folder: FunctionsFolder) -> None:
    routes(
        folder,
        'http.route(path="/a", method="POST", handler=plain)',
        'http.route(path_prefix="/a/", method="POST", handler=plain)',
        'http.route(path_prefix="/a/b/", method="POST", handler=plain)',
        'http.route(path="/users/{id}", method="GET", handler=plain)',
        'http.route(path="/users/{id:int}", method="GET", handler=plain)',
        'http.route(path_prefix="/", method="GET", handler=plain)',
        'http.route(path="/c", method="GET", handler=shared)',
    )
    assert check_routes(folder.load().registry) == []


def test_a_prefix_that_never_matches(folder: FunctionsFolder) -> None:
    routes(
        folder,
        'http.route(path="/files/{rest:path}", method="GET", handler=plain)',
        'http.route(path_prefix="/files/", method="GET", handler=plain)',
        'http.route(path_prefix="/files/", method="POST", handler=plain)',
    )
    problems = check_routes(folder.load().registry)
    assert [seen(problem) for problem in problems] == [
        (
            "RouteNeverMatches",
            "GET /files/* never matches: GET /files/{rest:path} wins every path of it",
            "convex/http.py:13",
            "remove it, or narrow the others",
        )
    ]
    assert problems[0].also == (Place("convex/http.py", 12),)


def test_a_mount_that_prefixes_cover(folder: FunctionsFolder) -> None:
    methods = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
    lines = [f'http.route(path_prefix="/api/", method="{method}", handler=plain)' for method in methods]
    routes(folder, "async def app(scope, receive, send): ...", 'http.mount("/api/", app)', *lines[:-1])
    assert check_routes(folder.load().registry) == []
    routes(folder, "async def app(scope, receive, send): ...", 'http.mount("/api/", app)', *lines)
    assert [problem.code for problem in check_routes(folder.load().registry)] == ["RouteNeverMatches"]


def test_a_route_for_browsers_without_preflight(folder: FunctionsFolder) -> None:
    routes(
        folder,
        'http.route(path="/a", method="POST", handler=shared)',
        'http.route(path="/b", method="DELETE", handler=shared)',
        'http.route(path="/b", method="OPTIONS", handler=plain)',
        'http.route(path="/hook", method="POST", handler=plain)',
    )
    assert [seen(problem) for problem in check_routes(folder.load().registry)] == [
        (
            "NoPreflight",
            "browsers of other sites cannot call POST /a: nothing answers their preflight (OPTIONS)",
            "convex/http.py:12",
            'write `http_router(cors=Cors(origins=["https://my.site"]))`, or add an OPTIONS route',
        )
    ]


INDIRECT = {
    "a constant": 'H = {"Access-Control-Allow-Origin": "*"}\n@http.route(path="/a", method="PUT")\n'
    "async def a(ctx, request):\n    return Response(None, headers=H)",
    "a helper": 'def h():\n    return [("access-control-allow-origin", "*")]\n@http.route(path="/a", method="PUT")\n'
    "async def a(ctx, request):\n    return Response(None, headers=h())",
    "an inner function": '@http.route(path="/a", method="PUT")\nasync def a(ctx, request):\n    def h():\n'
    '        return {"Access-Control-Allow-Origin": "*"}\n    return Response(None, headers=h())',
    "middleware of the route": "async def m(ctx, request, next):\n    response = await next(request)\n"
    '    response.headers.set("Access-Control-Allow-Origin", "*")\n    return response\n'
    'http.route(path="/a", method="PUT", handler=plain, middleware=[m])',
    "middleware of the router": "@http.use\nasync def m(ctx, request, next):\n    response = await next(request)\n"
    '    response.headers.set("Access-Control-Allow-Origin", "*")\n    return response\n'
    'http.route(path="/a", method="PUT", handler=plain)',
    "a helper of another module": 'from . import helpers\n@http.route(path="/a", method="PUT")\n'
    "async def a(ctx, request):\n    return Response(None, headers=helpers.cors())",
    "what a decorator wraps": "def logged(call):\n    async def wrapper(ctx, request):\n"
    "        return await call(ctx, request)\n    return wrapper\n"
    '@http.route(path="/a", method="PUT")\n@logged\nasync def a(ctx, request):\n'
    '    return Response(None, headers={"Access-Control-Allow-Origin": "*"})',
}


@pytest.mark.parametrize("lines", INDIRECT.values(), ids=INDIRECT)
def test_cors_headers_that_are_set_elsewhere(folder: FunctionsFolder, lines: str) -> None:
    folder.write("helpers.py", 'def cors():\n    return {"Access-Control-Allow-Origin": "*"}\n')
    routes(folder, lines)
    assert [problem.code for problem in check_routes(folder.load().registry)] == ["NoPreflight"]


def test_helpers_that_call_each_other_are_looked_into_once(folder: FunctionsFolder) -> None:
    routes(
        folder,
        "def one(): two()",
        "def two(): one()",
        '@http.route(path="/a", method="PUT")\nasync def a(ctx, request):\n    one()',
    )
    assert check_routes(folder.load().registry) == []


UNTOUCHED = {
    "a lazy object": "class Lazy:\n    @property\n    def __class__(self):\n        raise RuntimeError('awake')\n"
    "value = Lazy()",
    "a collection of its own": "class Own(dict):\n    def __iter__(self):\n        raise RuntimeError('read')\n"
    "value = Own()",
    "a list that holds itself": "value = []\nvalue.append(value)",
    "a function of no module": "def value(): ...\nvalue.__module__ = None",
    "a list of millions": "value = [0] * 2_000_000",
}


@pytest.mark.parametrize("lines", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_a_handler_uses_is_not_woken(folder: FunctionsFolder, lines: str) -> None:
    routes(folder, lines, '@http.route(path="/a", method="PUT")\nasync def a(ctx, request):\n    return value')
    registry = folder.load().registry
    started = time.perf_counter()
    assert check_routes(registry) == []
    assert time.perf_counter() - started < 0.2


def test_cors_answers_preflights(folder: FunctionsFolder) -> None:
    routes(folder, 'http.route(path="/a", method="POST", handler=shared)', cors='cors=Cors(origins=["*"])')
    assert check_routes(folder.load().registry) == []


def test_no_router(folder: FunctionsFolder) -> None:
    assert check_routes(folder.load().registry) == []
