"""What is told as changed after a save."""

from pyconvex.loading.changes import Changes, Difference, changes_between
from pyconvex.loading.registry import Registry
from support.folder import FunctionsFolder

HEAD = "from pyconvex.server import *\n"
SEND = "@mutation\nasync def send(ctx, body: str): return body\n"
LIST = "@query\nasync def listed(ctx): return 1\n"
ROUTE = "from .m import post\nhttp = http_router()\nhttp.route(path='/a', method='GET', handler=post)\ndefault = http\n"
POST = "@http_action\nasync def post(ctx, request): return Response('a')\n"


def saved(folder: FunctionsFolder, **files: str) -> Registry:
    for name, text in files.items():
        folder.write(f"{name}.py", HEAD + text)
    return folder.load().registry


def functions(*, added: str = "", changed: str = "", removed: str = "") -> Changes:
    return Changes(functions=Difference(tuple(added.split()), tuple(changed.split()), tuple(removed.split())))


def test_everything_is_new_at_first(folder: FunctionsFolder) -> None:
    folder.write("http.py", HEAD + ROUTE)
    changes = changes_between(None, saved(folder, m=SEND + LIST + POST))
    assert changes == Changes(Difference(("m:listed", "m:send")), Difference(("GET /a",)))


def test_nothing_changed(folder: FunctionsFolder) -> None:
    before = saved(folder, m=SEND + LIST)
    changes = changes_between(before, saved(folder, m=SEND + LIST))
    assert not changes


def test_moving_and_commenting_is_no_change(folder: FunctionsFolder) -> None:
    before = saved(folder, m=SEND + LIST)
    assert not changes_between(before, saved(folder, m="# hello\n\n" + LIST + "\n\n" + SEND))


def test_code_arguments_kind_and_visibility_are_changes(folder: FunctionsFolder) -> None:
    before = saved(folder, m=SEND + LIST)
    for text in (
        SEND.replace("return body", "return body + '!'"),
        SEND.replace("return body", "return (lambda: body + '?')()"),
        SEND.replace("body: str", "body: int"),
        SEND.replace("body: str", "body: str = 'x'"),
        SEND.replace("def send(ctx, body: str)", "def send(ctx, body: str) -> str"),
        SEND.replace("mutation", "action"),
        SEND.replace("mutation", "internal_mutation"),
    ):
        assert changes_between(before, saved(folder, m=text + LIST)) == functions(changed="m:send"), text


def test_an_imported_type_is_a_change_of_those_who_take_it(folder: FunctionsFolder) -> None:
    shape = "from typing import TypedDict\nclass Shape(TypedDict):\n    x: int\n"
    user = "from .shapes import Shape\n@query\nasync def area(ctx, shape: Shape): ...\n"
    before = saved(folder, shapes=shape, m=user + LIST)
    assert changes_between(before, saved(folder, shapes=shape.replace("int", "str"))) == functions(changed="m:area")


def test_added_and_removed(folder: FunctionsFolder) -> None:
    before = saved(folder, m=SEND)
    after = saved(folder, m=LIST)
    assert changes_between(before, after) == functions(added="m:listed", removed="m:send")


def test_routes(folder: FunctionsFolder) -> None:
    def routes(*lines: str) -> str:
        return "from .m import post, other\nhttp = http_router()\n" + "\n".join(lines) + "\ndefault = http\n"

    first = "http.route(path='/a', method='GET', handler=post)"
    second = "http.route(path_prefix='/b/', method='POST', handler=post)"
    third = "http.route(path='/c', method='PUT', handler=other)"
    module = POST + POST.replace("post", "other")
    before = saved(folder, m=module, http=routes(first, second))
    after = saved(folder, m=module, http=routes(first.replace("post", "other"), third))
    assert changes_between(before, after).routes == Difference(("PUT /c",), ("GET /a",), ("POST /b/*",))
    last = saved(folder, m=module.replace("'a'", "'b'", 1))
    assert changes_between(before, last).routes == Difference(("PUT /c",), ("GET /a",), ("POST /b/*",))
    assert changes_between(after, last).routes == Difference(), "only `post` has changed, and no route uses it"


def test_a_handler_that_changed_changes_its_routes(folder: FunctionsFolder) -> None:
    before = saved(folder, m=POST, http=ROUTE)
    after = saved(folder, m=POST.replace("'a'", "'b'"))
    assert changes_between(before, after) == Changes(routes=Difference(changed=("GET /a",)))
