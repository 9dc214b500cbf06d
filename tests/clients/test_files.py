"""Stored files with the official clients: the upload that Convex's documentation shows."""

from pathlib import Path

from support.front_end import FrontEnd
from support.served import run, served

FILES = """
from pyconvex.server import mutation, query

@mutation
async def generate_upload_url(ctx):
    return await ctx.storage.generate_upload_url()

@mutation
async def send_image(ctx, storageId: str, author: str):
    await ctx.db.insert("messages", {"body": storageId, "author": author, "format": "image"})

@query
async def images(ctx):
    messages = await ctx.db.query("messages").collect()
    return [{**message, "url": await ctx.storage.get_url(message["body"])} for message in messages]

@mutation
async def remove(ctx, storageId: str):
    await ctx.storage.delete(storageId)
"""


def test_the_npm_client(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, {"files": FILES}) as server:
            said = await front_end.play("files.upload", server.sockets.api_url)
            assert said == [["Ada", True], [200, "image/png", [137, 80, 78, 71]], 404]

    run(story)


def test_the_python_client(python_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, {"files": FILES}) as server:
            *said, gone = await python_end.play("python.files", server.sockets.api_url)
            assert said == [["Ada", True], [200, "image/png", [137, 80, 78, 71]]]
            assert "404" in gone["message"]

    run(story)
