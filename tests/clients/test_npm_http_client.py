"""`ConvexHttpClient` of the official npm client."""

from pathlib import Path

from support.chat import CHAT
from support.front_end import FrontEnd
from support.served import run, served

VALUES: list[object] = [
    "5n",
    "-9223372036854775808n",
    [1, 2.5, -3, "é", True, None],
    {"bytes": [1, 2, 255]},
    ["-0", "NaN", "Infinity", "-Infinity"],
    {"nested": {"big": "7n", "deep": [[{"bytes": []}]]}},
]


def test_calls(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("http.calls", server.sockets.api_url)
            assert said == ["string", 2, 2, [5, True, "hi", "number"], 10, 15]

    run(story)


def test_values_come_back_as_they_were_sent(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            *said, length = await front_end.play("http.values", server.sockets.api_url)
            assert said == [[value] * 3 for value in VALUES]
            assert length == 3_000_000

    run(story)


def test_errors(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("http.errors", server.sockets.api_url)
            refused, crashed, hidden, other_kind, wrong, unauthorised, welcome = said[:3], *said[3:]
            assert [(each["name"], each["data"]) for each in refused] == [
                ("ConvexError", {"code": "5n"}),
                ("ConvexError", "full"),
                ("ConvexError", None),
            ]
            assert "Uncaught ValueError: crashed\n    at crash (../convex/messages.py:" in crashed["message"]
            assert "Could not find public function for 'messages:secret'" in hidden["message"]
            assert "defined as Mutation" in other_kind["message"]
            assert "ArgumentValidationError" in wrong["message"]
            assert "InvalidAuthHeader" in unauthorised["message"]
            assert not any("data" in each for each in (crashed, hidden, other_kind, wrong, unauthorised))
            assert welcome is None

    run(story)


def test_log_lines_reach_the_console(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await front_end.play("http.logLines", server.sockets.api_url)
            who = "%c[CONVEX Q(messages:talk)]"
            assert said == [[f"{who} [LOG]", "'listing' 42"], [f"{who} [WARN]", "'careful'"]]

    run(story)
