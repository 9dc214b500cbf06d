import pytest

from pyconvex.testing import ConvexTest
from pyconvex.values import ConvexError


async def test_the_newest_message_is_the_last(convex: ConvexTest) -> None:
    await convex.mutation("messages:send", author="Ada", body="first")
    await convex.mutation("messages:send", author="Grace", body=" second ")

    latest = await convex.query("messages:latest")
    assert [(message["author"], message["body"]) for message in latest] == [("Ada", "first"), ("Grace", "second")]


async def test_only_the_latest_are_shown(convex: ConvexTest) -> None:
    for number in range(60):
        await convex.mutation("messages:send", author="Ada", body=str(number))

    latest = await convex.query("messages:latest")
    assert [message["body"] for message in latest] == [str(number) for number in range(10, 60)]


@pytest.mark.parametrize(("author", "body"), [("", "hi"), ("Ada", " "), ("Ada", "x" * 501), ("A" * 31, "hi")])
async def test_what_says_nothing_or_too_much_is_refused(convex: ConvexTest, author: str, body: str) -> None:
    with pytest.raises(ConvexError):
        await convex.mutation("messages:send", author=author, body=body)
    assert await convex.query("messages:latest") == []


async def test_a_message_may_come_over_http(convex: ConvexTest) -> None:
    sent = await convex.fetch("/messages", method="POST", json={"author": "curl", "body": "hi"})
    assert sent.status == 204
    assert len(await convex.query("messages:latest")) == 1

    refused = await convex.fetch("/messages", method="POST", json={"author": "curl", "body": ""})
    assert refused.status == 400
    assert await refused.json() == {"error": "There is nothing in this message."}
