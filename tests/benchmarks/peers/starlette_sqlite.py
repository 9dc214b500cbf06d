"""Messages in SQLite from Starlette: the standard sqlite3 called inline, every insert a durable commit of its own."""

import json
import sqlite3
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

database = sqlite3.connect("messages.db", isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, author TEXT, document TEXT)")
database.execute("CREATE INDEX IF NOT EXISTS by_author ON messages (author, id)")


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def post_message(request: Request) -> PlainTextResponse:
    message = await request.json()
    document = {"author": message["author"], "body": message["body"], "created": time.time()}
    database.execute(
        "INSERT INTO messages (author, document) VALUES (?, ?)", (document["author"], json.dumps(document))
    )
    return PlainTextResponse("")


async def by_author(request: Request) -> JSONResponse:
    rows = database.execute(
        "SELECT id, document FROM messages WHERE author = ? ORDER BY id DESC LIMIT 10",
        (request.query_params["author"],),
    )
    return JSONResponse([{"id": number, **json.loads(document)} for number, document in rows])


async def seed(request: Request) -> PlainTextResponse:
    """Add `count` rows from 100 authors in one transaction."""
    count = int(request.query_params["count"])
    database.execute("BEGIN IMMEDIATE")
    for number in range(count):
        author = f"author {number % 100}"
        document = {"author": author, "body": "x" * 100, "created": time.time()}
        database.execute("INSERT INTO messages (author, document) VALUES (?, ?)", (author, json.dumps(document)))
    database.execute("COMMIT")
    return PlainTextResponse("")


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/postMessage", post_message, methods=["POST"]),
        Route("/getMessagesByAuthor", by_author),
        Route("/seed", seed),
    ]
)
