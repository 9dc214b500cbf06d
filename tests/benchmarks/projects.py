"""The pyconvex projects under measurement, written into a folder of their own."""

from collections.abc import Mapping
from pathlib import Path

HELLO = """\
from pyconvex.server import Request, Response, http_router
from ._generated.server import ActionCtx

http = http_router()


@http.route(path="/", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response("hello")


default = http
"""

ECHO = """\
from pyconvex.server import Request, Response, http_router
from ._generated.server import ActionCtx

http = http_router()


@http.route(path="/", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response("hello")


@http.route(path="/whole", method="POST")
async def whole(ctx: ActionCtx, request: Request) -> Response:
    return Response(await request.bytes())


@http.route(path="/streamed", method="POST")
async def streamed(ctx: ActionCtx, request: Request) -> Response:
    return Response(request.body)


default = http
"""

SCHEMA = """\
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {"messages": define_table({"author": v.string(), "body": v.string()}).index("by_author", ["author"])}
)
"""

MESSAGES = """\
from pyconvex.server import Request, Response
from ._generated.api import api, internal
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, http_action, internal_mutation, query


@http_action
async def post_message(ctx: ActionCtx, request: Request) -> Response:
    message = await request.json()
    await ctx.run_mutation(internal.messages.send_one, body=message["body"], author=message["author"])
    return Response(None, status=200)


@http_action
async def get_by_author(ctx: ActionCtx, request: Request) -> Response:
    author = request.url.search_params.get("author")
    return Response.json(await ctx.run_query(api.messages.by_author, author=author))


@internal_mutation
async def send_one(ctx: MutationCtx, body: str, author: str) -> None:
    await ctx.db.insert("messages", {"body": body, "author": author})


@internal_mutation
async def seed(ctx: MutationCtx, count: int) -> None:
    for number in range(count):
        await ctx.db.insert("messages", {"body": "x" * 100, "author": f"author {number % 100}"})


@query
async def by_author(ctx: QueryCtx, author: str):
    return await (
        ctx.db.query("messages")
        .with_index("by_author", lambda q: q.eq("author", author))
        .order("desc")
        .take(10)
    )
"""

HTTP = """\
from pyconvex.server import Request, Response, http_router
from ._generated.api import internal
from ._generated.server import ActionCtx
from .messages import get_by_author, post_message

http = http_router()
http.route(path="/postMessage", method="POST", handler=post_message)
http.route(path="/getMessagesByAuthor", method="GET", handler=get_by_author)


@http.route(path="/", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response("hello")


@http.route(path="/seed", method="GET")
async def seed(ctx: ActionCtx, request: Request) -> Response:
    count = int(request.url.search_params.get("count"))
    for _ in range(0, count, 1000):
        await ctx.run_mutation(internal.messages.seed, count=1000)
    return Response("seeded")


default = http
"""

MARKED = """\
from pyconvex.server import Request, Response, http_router
from ._generated.server import ActionCtx

http = http_router()
MARKER = "version-0"


@http.route(path="/", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response(MARKER)


default = http
"""

MODULE = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query
{imports}

LIMIT = {number}


class Entry{number}:
    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def label(self) -> str:
        return f"{{self.name}} ({{self.size}})"

    def grown(self, by: int) -> "Entry{number}":
        return Entry{number}(self.name, self.size + by)


def total(entries: list[Entry{number}]) -> int:
    result = 0
    for entry in entries:
        if entry.size > LIMIT:
            result += entry.size
        else:
            result += LIMIT
    return result


def labels(entries: list[Entry{number}]) -> list[str]:
    return sorted(entry.label() for entry in entries if entry.size)


@query
async def listed(ctx: QueryCtx, limit: int = 10):
    return await ctx.db.query("entries{number}").order("desc").take(limit)


@query
async def found(ctx: QueryCtx, name: str):
    return await ctx.db.query("entries{number}").filter(lambda q: q.eq(q.field("name"), name)).first()


@mutation
async def add(ctx: MutationCtx, name: str, size: int) -> str:
    entry = Entry{number}(name, size).grown(LIMIT)
    return await ctx.db.insert("entries{number}", {{"name": entry.label(), "size": entry.size}})
"""


GROWING_SCHEMA = """\
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

documents = define_table({"number": v.number(), "author": v.string(), "body": v.string()})
default = define_schema(
    {"documents": documents.index("by_author", ["author"]).index("by_number", ["number"])}
)
"""

GROWING = """\
from ._generated.server import MutationCtx, QueryCtx, internal_mutation, query


@internal_mutation
async def seed(ctx: MutationCtx, first: int, count: int) -> None:
    for number in range(first, first + count):
        await ctx.db.insert("documents", {"number": number, "author": f"author {number % 100}", "body": "x" * 100})


@query
async def some_ids(ctx: QueryCtx, number: int):
    documents = ctx.db.query("documents").with_index("by_number", lambda q: q.gte("number", number))
    return [document["_id"] for document in await documents.take(10)]


@query
async def get(ctx: QueryCtx, id: str):
    return await ctx.db.get(id)


@query
async def take(ctx: QueryCtx, author: str):
    documents = ctx.db.query("documents").with_index("by_author", lambda q: q.eq("author", author))
    return await documents.order("desc").take(10)


@query
async def page(ctx: QueryCtx, number: int, cursor: str | None):
    documents = ctx.db.query("documents").with_index("by_number", lambda q: q.gte("number", number))
    return await documents.paginate({"numItems": 20, "cursor": cursor})
"""


BOARD_SCHEMA = """\
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {"notes": define_table({"room": v.number(), "body": v.string()}).index("by_room", ["room"])}
)
"""

BOARD = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query


@query
async def newest(ctx: QueryCtx):
    return await ctx.db.query("notes").order("desc").take(1)


@query
async def in_room(ctx: QueryCtx, room: int):
    return await ctx.db.query("notes").with_index("by_room", lambda q: q.eq("room", room)).order("desc").take(1)


@query
async def nothing(ctx: QueryCtx) -> str:
    return "hello"


@mutation
async def write(ctx: MutationCtx, body: str, room: int = 0) -> None:
    await ctx.db.insert("notes", {"room": room, "body": body})
"""

BOARD_HTTP = """\
from pyconvex.server import Request, Response, http_router
from ._generated.server import ActionCtx

http = http_router()


@http.route(path="/hello", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response("hello")


default = http
"""


FILES = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query


@mutation
async def upload_url(ctx: MutationCtx) -> str:
    return await ctx.storage.generate_upload_url()


@query
async def url(ctx: QueryCtx, id: str):
    return await ctx.storage.get_url(id)


@mutation
async def remove(ctx: MutationCtx, id: str) -> None:
    await ctx.storage.delete(id)
"""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a project; a path without a folder belongs into `convex/`."""
    for name, text in files.items():
        path = folder / "convex" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def hello(folder: Path) -> Path:
    return write(folder, {"http.py": HELLO})


def echo(folder: Path) -> Path:
    return write(folder, {"http.py": ECHO})


def messages(folder: Path) -> Path:
    return write(folder, {"schema.py": SCHEMA, "messages.py": MESSAGES, "http.py": HTTP})


def growing(folder: Path) -> Path:
    return write(folder, {"schema.py": GROWING_SCHEMA, "growing.py": GROWING})


def board(folder: Path) -> Path:
    """A table with two queries for subscribers, and a trivial function of each kind."""
    return write(folder, {"schema.py": BOARD_SCHEMA, "board.py": BOARD, "http.py": BOARD_HTTP})


def files(folder: Path) -> Path:
    return write(folder, {"files.py": FILES})


def marked(folder: Path, modules: int) -> Path:
    """`modules` modules of about 50 lines, each importing its neighbour, `http.py` among them."""
    files = {"http.py": MARKED}
    for number in range(modules - 1):
        imports = f"from .module_{number - 1} import total as total_before" if number else ""
        files[f"module_{number}.py"] = MODULE.format(number=number, imports=imports)
    return write(folder, files)
