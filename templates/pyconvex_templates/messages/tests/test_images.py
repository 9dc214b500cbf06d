from pyconvex.testing import ConvexTest

IMAGE = b"\x89PNG\r\n\x1a\n not much of an image"


async def test_an_image_comes_back_as_it_was_sent(convex: ConvexTest) -> None:
    await convex.set_env({"CLIENT_ORIGIN": "https://my.site"})
    sent = await convex.fetch("/sendImage", method="POST", body=IMAGE, headers={"Content-Type": "image/png"})
    assert sent.headers["Access-Control-Allow-Origin"] == "https://my.site"

    storage_id = (await sent.json())["storageId"]
    image = await convex.fetch(f"/getImage?storageId={storage_id}")
    assert await image.bytes() == IMAGE
    assert image.headers["Content-Type"] == "image/png"


async def test_the_preflight_names_the_allowed_origin(convex: ConvexTest) -> None:
    await convex.set_env({"CLIENT_ORIGIN": "https://my.site"})
    response = await convex.fetch("/sendImage", method="OPTIONS", headers={"Origin": "https://my.site"})
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://my.site"
    assert response.headers["Access-Control-Allow-Methods"] == "POST"


async def test_without_client_origin_no_foreign_page_is_let_in(convex: ConvexTest) -> None:
    response = await convex.fetch("/sendImage", method="POST", body=IMAGE)
    assert response.status == 200
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_an_image_that_is_not_there_is_a_404(convex: ConvexTest) -> None:
    assert (await convex.fetch("/getImage")).status == 404
