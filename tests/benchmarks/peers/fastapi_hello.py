"""The same text from FastAPI."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()


@app.get("/")
async def hello() -> PlainTextResponse:
    return PlainTextResponse("hello")
