"""Clients that read slowly or not at all, large results, and silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import ManualClock
from pyconvex.sync.messages import CHUNK_BYTES_MAX, chunks
from pyconvex.sync.outbox import UNREAD_BYTES_MAX
from support.loopback import NPM, Loopback, loopback, opened
from support.served import run, served
from support.sync_client import SyncClient, add, sync_client

MODULES = {
    "m": """
        from pyconvex.server import mutation, query

        @query
        async def rows(ctx):
            return [row["n"] for row in await ctx.db.query("rows").collect()]

        @query
        async def text(ctx, length: int, unit: str = "x"):
            return unit * length

        @mutation
        async def insert(ctx, n: int, length: int = 0):
            await ctx.db.insert("rows", {"n": n})
            return "x" * length
    """
}


def socket_of(client: SyncClient) -> Loopback:
    assert isinstance(client.socket, Loopback)
    return client.socket


def test_what_a_client_does_not_read_is_not_made(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, MODULES) as host, loopback(host) as slow, loopback(host) as other:
            for client in (slow, other):
                client.connect()
                client.modify(0, add(0, "m:rows"))
                await client.told()
            socket = socket_of(slow)
            socket.pause()
            for n in range(20):
                await other.ended(other.mutate("m:insert", n=n))
            assert len(socket.kept_waiting) == 1, "one on its way, and no more"
            socket.read()
            while len(slow.results[0]) < 20:
                assert (await slow.told())["type"] == "Transition"
            assert slow.results[0] == [float(n) for n in range(20)]

    run(story)


def test_mutations_of_a_client_that_does_not_read_wait(tmp_path: Path) -> None:
    length = UNREAD_BYTES_MAX // 2 + 1

    async def story() -> None:
        async with opened(tmp_path, MODULES) as host, loopback(host) as client, loopback(host) as other:
            for each in (client, other):
                each.connect()
                each.modify(0)
                await each.told()
            socket_of(client).pause()
            requests = [client.mutate("m:insert", n=n, length=length) for n in range(30)]
            other.modify(1, add(0, "m:rows"))
            for _ in range(30):
                await other.ended(other.mutate("m:insert", n=-1))
            assert other.results[0].count(-1) == 30
            assert [n for n in other.results[0] if n >= 0] == [0, 1], "two responses are too much already"
            socket_of(client).read()
            for request in requests:
                response = await client.until("MutationResponse")
                assert (response["requestId"], len(response["result"])) == (request, length)

    run(story)


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (NPM, "TransitionChunk"),
        (b"npm-1.27.9", "Transition"),
        (b"python-0.8.1", "Transition"),
        (None, "Transition"),
    ],
)
def test_large_transitions_are_cut_for_who_can_join_them(tmp_path: Path, agent: bytes | None, kind: str) -> None:
    length = CHUNK_BYTES_MAX

    async def story() -> None:
        async with opened(tmp_path, MODULES) as host, loopback(host, agent) as client:
            client.connect()
            client.modify(0, add(0, "m:text", length=length, unit="é"))
            told: dict[str, Any] = await client.told()
            assert told["type"] == kind
            if kind == "TransitionChunk":
                parts = [told] + [await client.told() for _ in range(told["totalParts"] - 1)]
                assert [part["partNumber"] for part in parts] == [0, 1, 2]
                assert len({part["transitionId"] for part in parts}) == 1
                told = json.loads("".join(part["chunk"] for part in parts))
            assert told["modifications"][0]["value"] == "é" * length

    run(story)


@pytest.mark.parametrize("shift", range(4))
def test_chunks_end_between_characters(shift: int) -> None:
    text = "a" * shift + "🎈" * (CHUNK_BYTES_MAX // 2 + 1)
    parts = [json.loads(part) for part in chunks(text.encode(), "t")]
    assert "".join(part["chunk"] for part in parts) == text
    assert all(len(part["chunk"].encode()) <= CHUNK_BYTES_MAX for part in parts)
    assert {part["totalParts"] for part in parts} == {len(parts)} == {3}


def test_silence_is_broken(tmp_path: Path) -> None:
    clock = ManualClock()

    async def story() -> None:
        async with opened(tmp_path, MODULES, clock=clock) as host, loopback(host) as client:
            socket = socket_of(client)
            client.connect()
            client.modify(0)
            assert (await client.told())["type"] == "Transition"
            clock.advance(10)
            await client.ended(client.mutate("m:insert", n=1))
            clock.advance(14)
            assert socket.unread == 0
            clock.advance(1)
            assert (await client.told())["type"] == "Ping"
            clock.advance(15)
            assert (await client.told())["type"] == "Ping"
            socket.pause()
            clock.advance(60)
            socket.read()
            assert socket.unread == 0, "Pings do not gather"

    run(story)


def test_a_client_on_the_network_that_stops_reading_comes_back(tmp_path: Path) -> None:
    """Over real sockets: results of 300 KB, more of them than all buffers hold."""

    async def story() -> None:
        async with (
            served(tmp_path, MODULES) as app,
            sync_client(app.sockets.port) as slow,
            sync_client(app.sockets.port) as other,
        ):
            for client in (slow, other):
                client.connect()
                client.modify(0)
                await client.told()
            slow.modify(1, *(add(n, "m:text", length=300_000 + n) for n in range(15)), add(99, "m:rows"))
            for n in range(50):
                await other.ended(other.mutate("m:insert", n=n))
            while len(slow.results.get(99, [])) < 50:
                await slow.told()
            assert [len(slow.results[n]) for n in range(15)] == [300_000 + n for n in range(15)]

    run(story)
