"""The official Python client (PyPI `convex`): its HTTP half and its WebSocket."""

from pathlib import Path

import pytest

from support.chat import CHAT
from support.front_end import FrontEnd
from support.served import run, served


@pytest.mark.parametrize("half", ["http", "live"])
def test_calls_values_and_errors(half: str, python_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await python_end.play(f"python.{half}", server.sockets.api_url)
            values, sent, errors, length = said[:7], said[7], said[8:14], said[14]
            assert values == [
                [value] * 2
                for value in (
                    1.5,
                    5.0,
                    [5.0, "é", None, True, "-0.0", "inf"],
                    {"a": {"b": 1.0}},
                    "7n",
                    {"bytes": list(b"bytes")},
                    "nan",
                )
            ]
            assert sent == 2.0
            coded, full, null, _, crashed, hidden = errors
            assert [each["name"] for each in errors[:4]] == ["ConvexError"] * 4
            assert [each["data"] for each in errors[:4]] == [{"code": "NO"}, "full", None, {"code": "NO"}]
            if half == "http":
                assert (coded["message"], full["message"], null["message"]) == ("Convex error", "full", "Convex error")
            else:
                assert "Uncaught ConvexError: full\n    at refuse (../convex/messages.py:" in full["message"]
            assert "Uncaught ValueError: crashed\n    at crash (../convex/messages.py:" in crashed["message"]
            assert "Could not find public function for 'messages:secret'" in hidden["message"]
            assert length == 3_000_000

    run(story)


def test_subscriptions(python_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            said = await python_end.play("python.subscriptions", server.sockets.api_url)
            *views, refused, dropped = said
            assert views == [[], ["hi"], ["hoa", "hob"], ["hi", "hoa", "hob"]]
            assert (refused["name"], refused["data"]) == ("ConvexError", {"code": "NO"})
            assert dropped == "This subscription has been dropped"

    run(story)
