"""`ConvexClient` of the official npm client: subscriptions, mutations and actions over one WebSocket."""

import re
from pathlib import Path

from support.chat import CHAT
from support.front_end import FrontEnd
from support.served import run, served

CHANGING = """
    import os

    from pyconvex.server import query


    @query
    async def greeting(ctx) -> str:
        return "hello"


    @query
    async def place(ctx):
        return os.environ.get("PLACE")
"""


def test_two_clients_see_each_other(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("live.twoClients", server.sockets.api_url)
            assert said == [[], ["hi"], ["hi"], 2, ["hoa", "hob"], ["hi", "hoa", "hob"], 0, True]

    run(story)


def test_a_mutation_resolves_when_its_effects_are_seen(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            assert await front_end.play("live.promises", server.sockets.api_url) == [True, True]

    run(story)


def test_values_come_back_as_they_were_sent(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            assert await front_end.play("live.values", server.sockets.api_url) == [
                ["5n"] * 3,
                ["-9223372036854775808n"] * 3,
                [[1, 2.5, -3, "é", True, None]] * 3,
                [{"bytes": [1, 2, 255]}] * 3,
                [["-0", "NaN", "Infinity", "-Infinity"]] * 3,
                [{"nested": {"big": "7n", "deep": [[{"bytes": []}]]}}] * 3,
            ]

    run(story)


def test_errors(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("live.errors", server.sockets.api_url)
            coded, texts, nulls, crashed, missing, hidden, wrong, nothing, recovered = said
            for errors, data in ((coded, {"code": "5n"}), (texts, "full"), (nulls, None)):
                assert [(each["name"], each["data"]) for each in errors] == [("ConvexError", data)] * 3
            assert "Uncaught ValueError: crashed\n    at crash (../convex/messages.py:" in crashed["message"]
            assert "Could not find public function for 'messages:missing'" in missing["message"]
            assert "Could not find public function for 'messages:secret'" in hidden["message"]
            assert "ArgumentValidationError" in wrong["message"]
            assert not any("data" in each for each in (crashed, missing, hidden, wrong))
            assert (nothing, recovered) == (True, "hi")

    run(story)


def test_errors_in_production(front_end: FrontEnd, tmp_path: Path) -> None:
    """What a function says with `ConvexError` is for clients; what went wrong inside is not."""

    async def story() -> None:
        async with served(tmp_path, CHAT, redact=True) as server:
            coded, texts, nulls, crashed, *_ = await front_end.play("live.errors", server.sockets.api_url)
            for errors, data in ((coded, {"code": "5n"}), (texts, "full"), (nulls, None)):
                assert [each["data"] for each in errors] == [data] * 3
            assert re.search(r"\[Request ID: [0-9a-f]{16}\] Server Error", crashed["message"])
            assert "ValueError" not in crashed["message"] and "messages.py" not in crashed["message"]

    run(story)


def test_results_of_six_megabytes(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("live.large", server.sockets.api_url)
            assert said == [3_000_000, 2, 900_000, 6_000_000]

    run(story)


def test_optimistic_updates_give_way_to_the_result_at_once(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("live.optimistic", server.sockets.api_url)
            assert said == [[[], ["hi …"], ["hi"], ["hi", "bad …"], ["hi"]]]

    run(story)


def test_pages_without_react(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            for n in (1, 2, 3, 4):
                await server.call("/api/mutation", {"path": "counters:put", "args": {"n": n}})
            assert await front_end.play("live.paged", server.sockets.api_url) == [[1, 2], [1, 2, 3, 4]]

    run(story)


def test_a_reload_and_a_variable_change_what_is_shown(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            served(tmp_path, {"changing": CHANGING}) as server,
            front_end.playing("live.changes", server.sockets.api_url) as play,
        ):
            assert await play.said() == ["hello", None]
            file = tmp_path / "convex" / "changing.py"
            file.write_text(file.read_text().replace("hello", "good evening"))
            await server.host.reload()
            play.tell()
            assert await play.said() == "good evening"
            await server.host.environment.set_many({"PLACE": "Turin"})
            play.tell()
            assert await play.said() == "Turin"
            assert await play.ended() == [[["hello", "good evening"], [None, "Turin"]]]

    run(story)
