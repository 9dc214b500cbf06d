"""What a request without a route may have meant."""

from typing import Any

import pytest

from pyconvex.functions.routing.misses import explain_miss
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.server import Request, Response, http_action, http_router


@http_action
async def handler(ctx: Any, request: Request) -> Response:
    return Response(None)


def router() -> HttpRouter:
    http = http_router()
    http.route(path="/postMessage", method="POST", handler=handler)
    http.route(path="/sendMessage", method="POST", handler=handler)
    http.route(path="/message", method="GET", handler=handler)
    http.route(path="/message", method="PUT", handler=handler)
    http.route(path="/message", method="DELETE", handler=handler)
    http.route(path="/users/{id:int}", method="GET", handler=handler)
    http.route(path="/stra%C3%9Fe", method="GET", handler=handler)
    http.route(path="/slash/", method="GET", handler=handler)
    http.route(path_prefix="/files/", method="GET", handler=handler)
    http.route(path_prefix="/Images/", method="GET", handler=handler)
    return http


MISSES: list[tuple[str, str, str | None, str]] = [
    ("GET", "/postMessage", "POST /postMessage", "wrong method, it takes POST"),
    ("POST", "/message", "GET /message", "wrong method, it takes GET, PUT and DELETE"),
    ("HEAD", "/postMessage", "POST /postMessage", "wrong method, it takes POST"),
    ("POST", "/postmessage", "POST /postMessage", "letter case differs"),
    ("GET", "/postmessage", "POST /postMessage", "letter case differs, wrong method"),
    ("GET", "/MESSAGE", "GET /message", "letter case differs"),
    ("GET", "/Files/x", "GET /files/*", "letter case differs"),
    ("POST", "/postMessage/", "POST /postMessage", "it has no slash at the end"),
    ("PUT", "/postMessage/", "POST /postMessage", "it has no slash at the end, wrong method"),
    ("GET", "/slash", "GET /slash/", "the slash at the end is missing"),
    ("GET", "/files", "GET /files/*", "the slash at the end is missing"),
    ("GET", "/images", "GET /Images/*", "letter case differs"),
    ("GET", "//message", "GET /message", "it has no doubled slash"),
    ("GET", "/mess%61ge", "GET /message", "percent-encoding differs"),
    ("GET", "/stra%c3%9fe", "GET /stra%C3%9Fe", "percent-encoding differs"),
    ("GET", "/http/message", "GET /message", "/http belongs to the API address"),
    ("GET", "/users/ada", "GET /users/{id:int}", "{name:int} takes whole numbers only"),
    ("HEAD", "/users/ada", "GET /users/{id:int}", "{name:int} takes whole numbers only"),
    ("POST", "/sendmesage", "POST /sendMessage", ""),
    ("GET", "/sendMesage", "POST /sendMessage", "wrong method"),
    ("GET", "/zzzzzzzzzzz", None, ""),
    ("GET", "/" + "x" * 100_000, None, ""),
    ("GET", "/%ff%", None, ""),
    ("GET", "", None, ""),
    ("GET", "*", None, ""),
]


@pytest.mark.parametrize(("method", "path", "nearest", "why"), MISSES)
def test_the_nearest_route_and_what_differs(method: str, path: str, nearest: str | None, why: str) -> None:
    table = router().table
    assert table.match(path, method) is None, "it would be no miss"
    miss = explain_miss(table, path, method)
    assert (None if miss is None else (str(miss.nearest), miss.why)) == (None if nearest is None else (nearest, why))


def test_the_text_for_people() -> None:
    miss = explain_miss(router().table, "/postmessage", "POST")
    assert miss is not None
    assert miss.text("http.py:9") == "POST /postMessage (http.py:9): letter case differs"
    assert miss._replace(why="").text("http.py:9") == "POST /postMessage (http.py:9)"


def test_similar_paths_are_only_looked_for_while_one_develops() -> None:
    table = router().table
    assert explain_miss(table, "/sendmesage", "POST", guess=False) is None
    assert explain_miss(table, "/sendmessage", "POST", guess=False) is not None


def test_without_routes_nothing_is_near() -> None:
    assert explain_miss(http_router().table, "/x", "GET") is None
