from pyconvex.testing import ConvexTest


async def test_a_posted_message_is_found_by_its_author(convex: ConvexTest) -> None:
    response = await convex.fetch("/postMessage", method="POST", json={"author": "Ada", "body": "hi"})
    assert response.status == 200

    for path in ("/getMessagesByAuthor?author=Ada", "/getAuthorMessages/Ada"):
        (message,) = await (await convex.fetch(path)).json()
        assert message["body"] == "Sent via HTTP action: hi"


async def test_authors_do_not_see_one_another(convex: ConvexTest) -> None:
    await convex.mutation("messages:send_one", author="Ada Lovelace", body="hi")

    assert len(await (await convex.fetch("/getAuthorMessages/Ada%20Lovelace")).json()) == 1
    assert await convex.query("messages:by_author", author="Ada") == []


async def test_asking_for_nobodys_messages_is_explained(convex: ConvexTest) -> None:
    response = await convex.fetch("/getMessagesByAuthor")
    assert response.status == 400
    assert "?author=" in await response.text()
