from pyconvex.testing import ConvexTest


async def test_a_posted_note_is_found_by_its_author(convex: ConvexTest) -> None:
    response = await convex.fetch("/notes", method="POST", json={"author": "Ada", "text": "hello"})
    assert response.status == 201

    (note,) = await convex.query("notes:by_author", author="Ada")
    assert note["text"] == "hello"
    assert note["_id"] == (await response.json())["id"]


async def test_the_newest_note_comes_first(convex: ConvexTest) -> None:
    for text in ("first", "second"):
        await convex.mutation("notes:add", author="Ada", text=text)
    assert [note["text"] for note in await convex.query("notes:by_author", author="Ada")] == ["second", "first"]
