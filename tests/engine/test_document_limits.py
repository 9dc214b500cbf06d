"""The largest that a document and a deployment may be: exactly that much is allowed, and no more."""

import asyncio
from pathlib import Path

import pytest

from pyconvex.store import documents
from support.deployment import deployment

MODULE = """
@mutation
async def with_fields(ctx, much: int):
    return await ctx.db.insert("rows", {f"f{n}": n for n in range(much)})

@mutation
async def nested(ctx, much: int):
    value = 1
    for _ in range(much):
        value = [value]
    return await ctx.db.insert("rows", {"value": value})

@mutation
async def of_bytes(ctx, much: int):
    id = await ctx.db.insert("rows", {"text": ""})
    empty = 2 + (3 + 1 + 2 + len(id)) + (13 + 1 + 9) + (4 + 1 + 2)
    await ctx.db.patch(id, {"text": "x" * (much - empty)})

@mutation
async def into(ctx, table: str):
    return await ctx.db.insert(table, {})
"""


@pytest.mark.parametrize(
    ("function", "most", "message"),
    [
        ("with_fields", 1022, "Document has too many fields (1025 > maximum 1024)"),  # and two of the system
        ("nested", 15, "Document is too nested (17 levels > maximum nesting 16)"),
        ("of_bytes", 2**20, "Value is too large (1.00 MiB > maximum size 1 MiB)"),
    ],
)
def test_documents(tmp_path: Path, function: str, most: int, message: str) -> None:
    async def main() -> None:
        async with deployment(tmp_path, MODULE) as d:
            await d.value(function, much=most)
            assert message in await d.error(function, much=most + 1)

    asyncio.run(main())


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "TABLES_MAX", 2)

    async def main() -> None:
        async with deployment(tmp_path, MODULE) as d:
            for table in ("one", "two", "one"):
                await d.value("into", table=table)
            assert "A deployment cannot have more than 2 tables" in await d.error("into", table="three")
            await d.value("into", table="two")

    asyncio.run(main())
