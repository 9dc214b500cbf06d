"""Pages over the client API, also as the official clients ask for them, and the report of what was read."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from support.served import Served, run, served

MODULES = {
    "messages": """
        from pyconvex.server import PaginationOpts, mutation, query

        @mutation
        async def fill(ctx, count: int):
            for n in range(count):
                await ctx.db.insert("messages", {"n": n})

        @query
        async def page(ctx, paginationOpts: PaginationOpts, order: str = "asc"):
            return await ctx.db.query("messages").order(order).paginate(paginationOpts)
    """
}


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, MODULES, **options) as server:
            await server.call("/api/mutation", {"path": "messages:fill", "args": {"count": 5}})
            await story(server)

    run(whole)


async def page(server: Served, cursor: str | None, **args: Any) -> Any:
    options = {"numItems": 2, "cursor": cursor, "id": 123}
    body = {"path": "messages:page", "args": {"paginationOpts": options, **args}}
    return (await server.call("/api/query", body)).json


def test_from_page_to_page(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        cursor, found = None, list[float]()
        for done in (False, False, True):
            answer = (await page(server, cursor))["value"]
            assert answer["isDone"] is done
            assert answer.keys() == {"page", "isDone", "continueCursor", "splitCursor", "pageStatus"}
            found += [each["n"] for each in answer["page"]]
            cursor = answer["continueCursor"]
        assert found == [0, 1, 2, 3, 4]

    serving(tmp_path, story)


def test_clients_recognise_a_foreign_cursor(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        cursor = (await page(server, None))["value"]["continueCursor"]
        answer = await page(server, cursor, order="desc")
        assert answer["status"] == "error"
        assert answer["errorData"] == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
        assert ("InvalidCursor" in answer["errorMessage"]) is not server.host.options.redact

    serving(tmp_path, story)
    serving(tmp_path / "redacted", story, redact=True)


def test_cursors_outlive_the_process(tmp_path: Path) -> None:
    cursors: list[str] = []

    async def first(server: Served) -> None:
        cursors.append((await page(server, None))["value"]["continueCursor"])

    async def second(server: Served) -> None:
        assert [each["n"] for each in (await page(server, cursors[0]))["value"]["page"]] == [2, 3]

    serving(tmp_path, first, memory=False)
    serving(tmp_path, second, memory=False)


def test_a_report_over_http(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        body = {"path": "messages:fill", "args": {"count": 2}, "format": "json"}
        answer = (await server.call("/api/pyconvex/report", body, **server.admin)).json
        assert (answer["status"], answer["value"]) == ("success", None)
        assert [each["operation"] for each in answer["report"]["writes"]] == ["insert", "insert"]
        failed = (await server.call("/api/pyconvex/report", {**body, "path": "messages:none"}, **server.admin)).json
        assert (failed["status"], failed["report"]) == ("error", None)

    serving(tmp_path, story)
