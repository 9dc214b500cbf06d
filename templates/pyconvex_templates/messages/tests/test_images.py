import asyncio
from pathlib import Path

import pytest
from pyconvex.testing import ConvexTest

FUNCTIONS = Path(__file__).parent.parent / "convex"
IMAGE = b"\x89PNG\r\n\x1a\n not much of an image"


def test_an_image_comes_back_as_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_ORIGIN", "https://my.site")

    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            sent = await t.fetch("/sendImage", method="POST", body=IMAGE, headers={"Content-Type": "image/png"})
            assert sent.headers["Access-Control-Allow-Origin"] == "https://my.site"

            image = await t.fetch(f"/getImage?storageId={(await sent.json())['storageId']}")
            assert await image.bytes() == IMAGE
            assert image.headers["Content-Type"] == "image/png"

    asyncio.run(scenario())


def test_the_preflight_names_the_allowed_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_ORIGIN", "https://my.site")

    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            response = await t.fetch("/sendImage", method="OPTIONS", headers={"Origin": "https://my.site"})
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://my.site"
            assert response.headers["Access-Control-Allow-Methods"] == "POST"

    asyncio.run(scenario())


def test_without_client_origin_no_foreign_page_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIENT_ORIGIN", raising=False)

    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            response = await t.fetch("/sendImage", method="POST", body=IMAGE)
            assert response.status == 200
            assert response.headers.get("Access-Control-Allow-Origin") is None

    asyncio.run(scenario())


def test_an_image_that_is_not_there_is_a_404() -> None:
    async def scenario() -> None:
        async with ConvexTest(FUNCTIONS) as t:
            assert (await t.fetch("/getImage")).status == 404

    asyncio.run(scenario())
