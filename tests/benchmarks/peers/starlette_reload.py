"""One module that answers with a marker; a save changes the marker."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

MARKER = "version-0"


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(MARKER)


app = Starlette(routes=[Route("/", hello)])
