"""`ConvexReactClient` and its hooks, rendered by React Testing Library."""

from pathlib import Path

from support.chat import CHAT
from support.front_end import FrontEnd
from support.served import run, served
from support.wire import wire_to


def test_hooks(front_end: FrontEnd, tmp_path: Path) -> None:
    """`useQuery`, `useMutation` with optimistic updates, `useAction`, and a query that fails."""

    async def story() -> None:
        async with served(tmp_path, CHAT) as server:
            own, other = await front_end.play("react.hooks", server.sockets.api_url)
            assert own[:6] == ["loading", [], ["hi …"], ["hi"], ["hi", "no …"], ["hi"]]
            assert own[-1] == other[-1] == ["hi", "hoa", "hob"]
            assert other[:3] == ["loading", [], ["hi"]]

    run(story)


def test_paginated_queries(front_end: FrontEnd, tmp_path: Path) -> None:
    """Rows come and go in loaded pages and at their borders, and each is shown once; after a cut of the wire too."""

    async def story() -> None:
        async with (
            served(tmp_path, CHAT) as server,
            wire_to(server.sockets.port) as wire,
            front_end.playing("react.pages", wire.url) as play,
        ):
            for n in range(10, 100, 10):
                await server.call("/api/mutation", {"path": "counters:put", "args": {"n": n}})
            play.tell()
            assert await play.said() == "all pages have changed"
            wire.cut()
            play.tell()
            assert await play.ended() == ["Exhausted", True]

    run(story)
