"""The official Python client: its WebSocket and its HTTP half."""

import json
import math
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from convex import ConvexClient, ConvexInt64
from convex.http_client import ConvexHttpClient

Say = Callable[[object], None]
Told = Callable[[], Any]
_VALUES = [
    1.5,
    5.0,
    [5.0, "é", None, True, -0.0, math.inf],
    {"a": {"b": 1.0}},
    ConvexInt64(7),
    b"bytes",
    math.nan,
]


def bodies(messages: Any) -> list[str]:
    return [message["body"] for message in messages]


def error(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as failed:
        return failed
    return None


def until(results: Iterator[Any], holds: Callable[[Any], bool]) -> Any:
    """The next result that holds."""
    return next(result for result in results if holds(result))


def http(url: str, say: Say, told: Told) -> None:
    _try_out(ConvexHttpClient(url), say)


def live(url: str, say: Say, told: Told) -> None:
    _try_out(ConvexClient(url), say)


def _try_out(client: Any, say: Say) -> None:
    """What both halves can do."""
    for value in _VALUES:
        say([client.query("messages:echo", {"value": value}), client.mutation("messages:keep", {"value": value})])
    say(client.action("messages:sendTwo", {"body": "hi", "author": "Ada"}))
    for data in ({"code": "NO"}, "full", None):
        say(error(lambda data=data: client.mutation("messages:refuse", {"data": data})))
    say(error(lambda: client.action("messages:refuse_action", {"data": {"code": "NO"}})))
    say(error(lambda: client.mutation("messages:crash")))
    say(error(lambda: client.query("messages:secret")))
    say(len(client.query("messages:large", {"bytes": 6_000_000})))


def subscriptions(url: str, say: Say, told: Told) -> None:
    ada, bob = ConvexClient(url), ConvexClient(url)
    seen = ada.subscribe("messages:list")
    say(bodies(next(seen)))
    bob.mutation("messages:send", {"body": "hi"})
    say(bodies(next(seen)))
    every = ada.watch_all()
    ada_by = ada.subscribe("messages:by", {"author": "Bob"})
    bob.action("messages:send_two", {"body": "ho", "author": "Bob"})
    say(bodies(until(ada_by, lambda messages: len(messages) == 2)))
    both = until(every, lambda views: len(views) == 2 and len(views[ada_by.id]["value"]) == 2)
    say(bodies(both[seen.id]["value"]))
    first = error(lambda: next(ada.subscribe("messages:refuse_query", {"data": {"code": "NO"}})))
    say(first)
    ada_by.unsubscribe()
    say(str(error(lambda: next(ada_by))))


def auth(url: str, say: Say, told: Told, ada: str, bob: str, bad: str) -> None:
    client = ConvexClient(url)
    me = client.subscribe("users:me")
    say(next(me))
    for name, token in (("ada", ada), ("bob", bob)):
        client.set_auth(token)
        say(until(me, name.__eq__))
        say([client.mutation("users:sign"), client.action("users:act")])
    client.clear_auth()
    say([until(me, lambda name: name is None), client.mutation("users:sign")])
    client.set_auth(bad)
    client.set_auth(ada)
    say(client.mutation("users:sign"))
    client.set_auth(bad)
    told()  # meanwhile it tries again and again, ever more rarely


def reconnecting(url: str, say: Say, told: Told) -> None:
    client = ConvexClient(url)
    seen = client.subscribe("messages:list")
    say(bodies(next(seen)))
    told()  # the wire is cut, and works again a moment later
    say(bodies(until(seen, bool)))
    client.mutation("messages:send", {"body": "sent after it"})
    say(bodies(until(seen, lambda messages: len(messages) == 2)))


def racing(url: str, say: Say, told: Told, clients: int, rounds: int, total: int) -> None:
    all_clients = [ConvexClient(url) for _ in range(clients)]
    seen = [client.subscribe("counters:value") for client in all_clients]
    say([next(each) for each in seen])
    told()
    for _ in range(rounds):
        for client in all_clients:
            client.mutation("counters:add")
    say([until(each, lambda value: value == total) for each in seen])
    say(True)


def idle(url: str, say: Say, told: Told, seconds: float) -> None:
    client = ConvexClient(url)
    seen = client.subscribe("messages:list")
    say(bodies(next(seen)))
    told()
    say(bodies(next(seen)))


def files(url: str, say: Say, told: Told) -> None:
    """The upload that the documentation shows, with Python's own HTTP client."""
    client = ConvexClient(url)
    post = urllib.request.Request(client.mutation("files:generateUploadUrl"), b"\x89PNG", {"Content-Type": "image/png"})
    with urllib.request.urlopen(post) as answer:
        stored = json.load(answer)
    client.mutation("files:sendImage", {**stored, "author": "Ada"})
    [image] = client.query("files:images")
    say([image["author"], image["body"] == stored["storageId"]])
    with urllib.request.urlopen(image["url"]) as loaded:
        say([loaded.status, loaded.headers["content-type"], list(loaded.read())])
    client.mutation("files:remove", stored)
    say(error(lambda: urllib.request.urlopen(image["url"])))
