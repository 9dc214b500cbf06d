import asyncio
from pathlib import Path

from pyconvex.testing import ConvexTest

FUNCTIONS = Path(__file__).parent.parent / "convex"


def test_a_posted_message_is_found_by_its_author() -> None:
    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            response = await t.fetch("/postMessage", method="POST", json={"author": "Ada", "body": "hi"})
            assert response.status == 200

            for path in ("/getMessagesByAuthor?author=Ada", "/getAuthorMessages/Ada"):
                (message,) = await (await t.fetch(path)).json()
                assert message["body"] == "Sent via HTTP action: hi"

    asyncio.run(scenario())


def test_authors_do_not_see_one_another() -> None:
    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            await t.mutation("messages:send_one", author="Ada Lovelace", body="hi")
            assert len(await (await t.fetch("/getAuthorMessages/Ada%20Lovelace")).json()) == 1
            assert await t.query("messages:by_author", author="Ada") == []

    asyncio.run(scenario())


def test_asking_for_nobodys_messages_is_explained() -> None:
    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            response = await t.fetch("/getMessagesByAuthor")
            assert response.status == 400
            assert "?author=" in await response.text()

    asyncio.run(scenario())
