"""One session over a real WebSocket from its first message to its last, each compared with what clients expect."""

from pathlib import Path
from typing import Any

from pyconvex.values.timestamps import decode_timestamp
from support.served import Served, run, served
from support.sync_client import ZERO, SyncClient, add, remove, sync_client

SESSION = "6f2a9c1e-0b7d-4c55-9e0a-3d1f5b8e7a42"

MODULES = {
    "messages": """
        from pyconvex.server import action, mutation, query
        from pyconvex.values import ConvexError

        @query
        async def list(ctx, channel: str):
            rows = await ctx.db.query("messages").collect()
            return [row["body"] for row in rows if row["channel"] == channel]

        @mutation
        async def send(ctx, channel: str, body: str):
            if not body:
                print("empty")
                raise ConvexError("EMPTY")
            await ctx.db.insert("messages", {"channel": channel, "body": body})
            print("sent")

        @action
        async def count(ctx):
            print("counting")
            return "two messages"
    """
}


def transition(start: dict[str, Any], told: dict[str, Any], *modifications: dict[str, Any], **end: object) -> None:
    """`told` leads from `start` to a version that differs from it in `end`, and possibly in its timestamp."""
    assert told["type"] == "Transition"
    assert told["startVersion"] == start
    assert told["endVersion"] == {**start, **end, "ts": told["endVersion"]["ts"]}
    assert decode_timestamp(told["endVersion"]["ts"]) >= decode_timestamp(start["ts"])
    assert told["modifications"] == [*modifications]
    assert isinstance(told["serverTs"], int)
    assert isinstance(told["clientClockSkew"], int)


def updated(query_id: int, value: object) -> dict[str, Any]:
    return {"type": "QueryUpdated", "queryId": query_id, "value": value, "logLines": [], "journal": None}


async def begin(client: SyncClient) -> None:
    client.connect(SESSION)
    client.modify(0)
    transition(ZERO, await client.told(), querySet=1)
    client.say("Event", eventType="ClientConnect", event=[])


async def use(client: SyncClient, app: Served) -> None:
    client.modify(1, add(0, "messages:list", channel="general"))
    transition(client.version, await client.told(), updated(0, []), querySet=2)

    client.mutate("messages:send", channel="general", body="hi")
    response = await client.told()
    ts = response.pop("ts")
    assert response == {
        "type": "MutationResponse",
        "requestId": 0,
        "success": True,
        "result": None,
        "logLines": ["[LOG] 'sent'"],
    }
    before = client.version
    told = await client.told()
    transition(before, told, updated(0, ["hi"]))
    assert decode_timestamp(told["endVersion"]["ts"]) >= decode_timestamp(ts)

    client.mutate("messages:send", channel="general", body="")
    response = await client.told()
    assert response.pop("result").startswith(
        "[Request ID: 039efd570871bdd4] Server Error\nUncaught ConvexError: EMPTY\n    at send (../convex/messages.py:"
    )
    assert response == {
        "type": "MutationResponse",
        "requestId": 1,
        "success": False,
        "ts": None,
        "logLines": ["[LOG] 'empty'"],
        "errorData": "EMPTY",
    }
    transition(client.version, await client.told())

    reply = await app.call("/api/mutation", {"path": "messages:send", "args": {"channel": "general", "body": "yo"}})
    assert reply.status == 200
    transition(client.version, await client.told(), updated(0, ["hi", "yo"]))

    client.say("Authenticate", baseVersion=0, tokenType="Admin", value=app.host.admin_key)
    transition(client.version, await client.told(), identity=1)

    client.act("messages:count")
    assert await client.told() == {
        "type": "ActionResponse",
        "requestId": 2,
        "success": True,
        "result": "two messages",
        "logLines": ["[LOG] 'counting'"],
    }
    transition(client.version, await client.told())

    client.modify(2, remove(0))
    transition(client.version, await client.told(), {"type": "QueryRemoved", "queryId": 0}, querySet=3)


async def come_back(client: SyncClient, app: Served, observed: str) -> None:
    """After the connection broke when mutation 3 was done, and before its response came."""
    client.connect(SESSION, 1, maxObservedTimestamp=observed)
    client.say("Authenticate", baseVersion=0, tokenType="Admin", value=app.host.admin_key)
    client.modify(0)
    client.mutate("messages:send", 3, channel="general", body="once")
    response = await client.until("MutationResponse")
    assert (response["requestId"], response["success"], response["result"]) == (3, True, None)
    assert response["logLines"] == ["[LOG] 'sent'"]
    transition(client.version, await client.told(), querySet=1, identity=1)
    assert decode_timestamp(client.version["ts"]) >= decode_timestamp(observed)


def test_a_session(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as app:
            async with sync_client(app.sockets.port) as client:
                await begin(client)
                await use(client, app)
                observed = client.version["ts"]
                client.mutate("messages:send", 3, channel="general", body="once")
                await app.until(lambda: app.printed.count("[LOG] 'sent'") == 3)
                client.socket.abort()
            async with sync_client(app.sockets.port) as client:
                await come_back(client, app, observed)
            reply = await app.call("/api/query", {"path": "messages:list", "args": {"channel": "general"}})
            assert reply.json["value"] == ["hi", "yo", "once"]
            assert [entry.caller for entry in app.completions if entry.identifier == "messages:send"] == [
                "SyncWorker",
                "SyncWorker",
                "HttpApi",
                "SyncWorker",
            ]

    run(story)
