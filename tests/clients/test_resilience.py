"""The official clients on wires that break, and servers that end: nothing is lost and nothing happens twice."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from pyconvex.host import heartbeat
from pyconvex.sync import worker
from support.chat import CHAT
from support.dev import Dev, dev
from support.front_end import FrontEnd
from support.served import PATIENCE_SECONDS, Served, run, served, write_modules
from support.wire import Wire, wire_to

IDLE_SECONDS = float(os.environ.get("PYCONVEX_IDLE_SECONDS", "0"))
"""`make nightly` waits longer than clients wait for a ping; otherwise the pings are hurried instead."""
KILLS = 1 + int(os.environ.get("PYCONVEX_KILL_ROUNDS", "0")) // 10
NUMBERS_EACH = 60


async def send(server: Served, body: str) -> None:
    reply = await server.call("/api/mutation", {"path": "messages:send", "args": {"body": body}})
    assert reply.json["status"] == "success"


def test_a_wire_is_cut_and_works_again(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            served(tmp_path, CHAT) as server,
            wire_to(server.sockets.port) as wire,
            front_end.playing("resilience.reconnecting", wire.url) as play,
        ):
            assert [await play.said(), await play.said()] == [[], True]
            wire.refusing = True
            wire.cut()
            await send(server, "missed")
            play.tell()
            assert await play.said() == []
            wire.refusing = False
            play.tell()
            assert "Connection lost while action was in flight" in await play.said()
            assert await play.ended() == [["missed", "sent while away"]]

    run(story)


def test_a_mutation_whose_answer_is_lost_happens_once(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            served(tmp_path, CHAT) as server,
            wire_to(server.sockets.port) as wire,
            front_end.playing("resilience.onceOnly", wire.url) as play,
        ):
            assert await play.said() == []
            wire.loses_next_answer = True
            play.tell()
            sent, seen, connections = await play.ended()
            assert (type(sent), seen, connections) == (str, ["once"], 2)
            assert sum(each.identifier == "messages:send" for each in server.completions) == 1

    run(story)


def test_a_mutation_whose_server_ends_before_it_answers_happens_once(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with served(tmp_path, CHAT, memory=False) as server:
                wire = await stack.enter_async_context(wire_to(server.sockets.port))
                play = await stack.enter_async_context(front_end.playing("resilience.onceOnly", wire.url))
                assert await play.said() == []
                wire.loses_next_answer = True
                play.tell()
                await server.until(lambda: not wire.loses_next_answer)
                wire.refusing = True
            async with served(tmp_path, CHAT, memory=False) as server:
                wire.port, wire.refusing = server.sockets.port, False
                sent, seen, _ = await play.ended()
                assert (type(sent), seen) == (str, ["once"])
                assert not [each for each in server.completions if each.identifier == "messages:send"]

    run(story)


@pytest.mark.faults
def test_a_server_that_is_killed_between_mutations(front_end: FrontEnd, tmp_path: Path) -> None:
    """One client sends numbers; kill -9 at any moment, and each number is there once, in order."""
    write_modules(tmp_path, CHAT)
    numbers = NUMBERS_EACH * (KILLS + 1)

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            wire = await stack.enter_async_context(wire_to(0))
            running = await started(wire, tmp_path)
            play = await stack.enter_async_context(front_end.playing("resilience.counting", wire.url, numbers=numbers))
            for number in range(numbers):
                assert await play.said() == str(number)
                if number % NUMBERS_EACH == NUMBERS_EACH // 2 and number < NUMBERS_EACH * KILLS:
                    await asyncio.to_thread(running[0].kill)
                    running = await started(wire, tmp_path)
            assert await play.ended() == [[str(number) for number in range(numbers)]]
            await asyncio.to_thread(running[1].close)

    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS * (KILLS + 1)))


async def started(wire: Wire, folder: Path) -> tuple[Dev, contextlib.ExitStack]:
    """`pyconvex dev` as a process, with the wire led to it."""
    stack = contextlib.ExitStack()
    running = await asyncio.to_thread(stack.enter_context, dev(folder))
    wire.port = running.port
    return running, stack


def test_the_python_client_comes_back(python_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            served(tmp_path, CHAT) as server,
            wire_to(server.sockets.port) as wire,
            python_end.playing("python.reconnecting", wire.url) as play,
        ):
            assert await play.said() == []
            wire.cut()
            await send(server, "missed")
            play.tell()
            assert await play.ended() == [["missed"], ["missed", "sent after it"]]

    run(story)


def test_ten_clients_race_on_one_counter(every_end: list[FrontEnd], tmp_path: Path) -> None:
    """Ten of all kinds; the wires of those that send again after a cut, without doing it twice, are cut meanwhile."""
    clients, rounds = (4, 4, 2), 30
    given: dict[str, Any] = {"rounds": rounds, "total": sum(clients) * rounds}

    async def story() -> None:
        async with (
            contextlib.AsyncExitStack() as stack,
            served(tmp_path, CHAT) as server,
            wire_to(server.sockets.port) as wire,
        ):
            plays = [
                await stack.enter_async_context(end.playing(f"{file}.racing", url, clients=count, **given))
                for end, file, url, count in zip(
                    every_end,
                    ("live", "live", "python"),
                    (wire.url, wire.url, server.sockets.api_url),
                    clients,
                    strict=True,
                )
            ]
            assert [await play.said() for play in plays] == [[0] * count for count in clients]
            for play in plays:
                play.tell()
            await server.until(lambda: len(server.completions) > given["total"] // 3)
            wire.cut()
            assert [await play.ended() for play in plays] == [[[given["total"]] * count, True] for count in clients]

    run(story)


@pytest.mark.faults
def test_clients_stay_connected_while_nothing_happens(
    every_end: list[FrontEnd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server pings in both ways: frames for the Python client, messages for browsers, which hide frames."""
    if not IDLE_SECONDS:
        monkeypatch.setattr(heartbeat, "PING_SECONDS", 0.5)
        monkeypatch.setattr(worker, "PING_MS", 500.0)

    async def story() -> None:
        async with (
            served(tmp_path, CHAT) as server,
            wire_to(server.sockets.port) as wire,
            contextlib.AsyncExitStack() as stack,
        ):
            older, newest, program = [
                await stack.enter_async_context(end.playing(f"{file}.idle", wire.url, seconds=IDLE_SECONDS))
                for end, file in zip(every_end, ("resilience", "resilience", "python"), strict=True)
            ]
            for play in (older, newest, program):
                assert await play.said() == []
            # They say how often they have connected, when both kinds of ping have come.
            assert [await older.said(), await newest.said()] == [1, 1]
            await send(server, "hi")
            for play in (older, newest, program):
                play.tell()
                assert await play.ended() == [["hi"]]
            assert wire.connections == 3

    asyncio.run(asyncio.wait_for(story(), IDLE_SECONDS + PATIENCE_SECONDS))
