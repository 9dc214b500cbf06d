"""Takes in and hands out large files with Starlette, as its documentation does it."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

FILE = Path("file")


async def upload(request: Request) -> Response:
    with FILE.open("wb") as file:
        async for chunk in request.stream():
            file.write(chunk)
    return PlainTextResponse("stored")


async def download(request: Request) -> Response:
    return FileResponse(FILE)


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/upload", upload, methods=["POST"]),
        Route("/file", download),
    ]
)
