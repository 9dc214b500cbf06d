"""The functions that the official clients are tried on."""

from typing import Final

CHAT: Final = {
    "schema": """
        from pyconvex.server import define_schema, define_table
        from pyconvex.values import v

        default = define_schema({
            "messages": define_table({"body": v.string(), "author": v.string()}).index("by_author", ["author"]),
            "counters": define_table({"value": v.number()}),
            "rows": define_table({"n": v.number()}).index("by_n", ["n"]),
            "kept": define_table(v.any()),
        })
    """,
    "messages": """
        import asyncio
        import logging

        from pyconvex.server import action, internal_query, mutation, query
        from pyconvex.values import ConvexError


        @query
        async def list(ctx):
            return await ctx.db.query("messages").collect()


        @query
        async def by(ctx, author: str):
            return await ctx.db.query("messages").with_index("by_author", lambda q: q.eq("author", author)).collect()


        @query
        async def first(ctx) -> str:
            message = await ctx.db.query("messages").first()
            if message is None:
                raise ValueError("nothing here")
            return message["body"]


        @mutation
        async def send(ctx, body: str, author: str = "Ada") -> str:
            return await ctx.db.insert("messages", {"body": body, "author": author})


        @mutation
        async def send_bad(ctx, body: str, author: str):
            await send(ctx, body=body, author=author)
            raise ConvexError("refused")


        @action
        async def send_two(ctx, body: str, author: str) -> int:
            for mark in "ab":
                await ctx.run_mutation("messages:send", body=body + mark, author=author)
            return 2


        @action
        async def endless(ctx) -> None:
            await ctx.run_mutation("messages:begin")
            while True:
                await asyncio.sleep(0.01)


        @mutation
        async def begin(ctx) -> None:
            await ctx.db.insert("kept", {"begun": True})


        @query
        async def begun(ctx) -> bool:
            return await ctx.db.query("kept").first() is not None


        @query
        async def echo(ctx, value):
            return value


        @mutation
        async def keep(ctx, value):
            kept = await ctx.db.get(await ctx.db.insert("kept", {"value": value}))
            return kept["value"]


        @action
        async def act(ctx, value):
            return value


        @query
        async def large(ctx, bytes: int) -> str:
            return "é" * (bytes // 2)


        @mutation
        async def refuse(ctx, data):
            raise ConvexError(data)


        @query
        async def refuse_query(ctx, data):
            raise ConvexError(data)


        @action
        async def refuse_action(ctx, data):
            raise ConvexError(data)


        @mutation
        async def crash(ctx):
            raise ValueError("crashed")


        @internal_query
        async def secret(ctx) -> str:
            return "internal"


        @query
        async def talk(ctx) -> None:
            print("listing", 42)
            logging.getLogger().warning("careful")
    """,
    "counters": """
        from pyconvex.server import mutation, pagination_opts_validator, query


        @query
        async def value(ctx) -> int:
            counter = await ctx.db.query("counters").first()
            return counter["value"] if counter else 0


        @mutation
        async def add(ctx) -> None:
            counter = await ctx.db.query("counters").first()
            if counter:
                await ctx.db.patch(counter["_id"], {"value": counter["value"] + 1})
            else:
                await ctx.db.insert("counters", {"value": 1})


        @query(args={"paginationOpts": pagination_opts_validator})
        async def page(ctx, paginationOpts):
            return await ctx.db.query("rows").with_index("by_n").paginate(paginationOpts)


        @mutation
        async def put(ctx, n: int) -> None:
            await ctx.db.insert("rows", {"n": n})


        @mutation
        async def remove(ctx, n: int) -> None:
            row = await ctx.db.query("rows").with_index("by_n", lambda q: q.eq("n", n)).unique()
            await ctx.db.delete(row["_id"])
    """,
}
