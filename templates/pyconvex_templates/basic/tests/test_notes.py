import asyncio
from pathlib import Path

from pyconvex.testing import ConvexTest

FUNCTIONS = Path(__file__).parent.parent / "convex"


def test_a_posted_note_is_found_by_its_author() -> None:
    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            response = await t.fetch("/notes", method="POST", json={"author": "Ada", "text": "hello"})
            assert response.status == 201

            (note,) = await t.query("notes:by_author", author="Ada")
            assert note["text"] == "hello"
            assert note["_id"] == (await response.json())["id"]

    asyncio.run(scenario())


def test_the_newest_note_comes_first() -> None:
    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            for text in ("first", "second"):
                await t.mutation("notes:add", author="Ada", text=text)
            assert [note["text"] for note in await t.query("notes:by_author", author="Ada")] == ["second", "first"]

    asyncio.run(scenario())
