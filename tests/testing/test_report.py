"""`t.report`: a project's own tests can say what a function may read."""

from pathlib import Path

import pytest

from pyconvex.testing import ConvexTest
from support.served import run, write_modules

MODULES = {
    "schema": """
        from pyconvex.server import define_schema, define_table
        from pyconvex.values import v

        default = define_schema({"messages": define_table({"author": v.string()}).index("by_author", ["author"])})
    """,
    "messages": """
        from pyconvex.server import internal_mutation, query

        @query
        async def by_author(ctx, author: str):
            return await ctx.db.query("messages").with_index("by_author", lambda q: q.eq("author", author)).collect()

        @internal_mutation
        async def send(ctx, author: str):
            if not author:
                raise ValueError("nobody")
            return await ctx.db.insert("messages", {"author": author})
    """,
}


def test_what_a_function_reads_and_writes(tmp_path: Path) -> None:
    async def story() -> None:
        write_modules(tmp_path, MODULES)
        async with ConvexTest(tmp_path / "convex") as t:
            sent = await t.report("messages:send", author="Ada")
            assert [(each.operation, each.table, each.id) for each in sent.writes] == [
                ("insert", "messages", sent.value)
            ]
            report = await t.with_identity({"name": "Ada"}).report("messages:by_author", author="Ada")
            assert isinstance(report.value, list)
            assert len(report.value) == 1
            [read] = report.reads
            assert (read.table, read.index, read.text) == ("messages", "by_author", 'author = "Ada"')
            assert (read.equal, read.documents) == ({"author": "Ada"}, 1)
            assert max(each.share for each in report.limits if each.unit != "seconds") < 0.001
            with pytest.raises(ValueError, match="nobody"):
                await t.report("messages:send", author="")

    run(story)
