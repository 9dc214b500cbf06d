"""What was sent, sent back: whole, and as it comes."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def whole(request: Request) -> Response:
    return Response(await request.body())


class Streamed:
    """Without `StreamingResponse`, which on Hypercorn listens for the end of the request and loses a part of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for chunk in Request(scope, receive).stream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/whole", whole, methods=["POST"]),
        Route("/streamed", Streamed(), methods=["POST"]),
    ]
)
