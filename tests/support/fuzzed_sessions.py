"""Sessions of clients that mostly keep to the protocol, made from a seed."""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast
from uuid import UUID

from .fuzzed_requests import value

PATHS = (
    "m:rows",
    "m:rows",
    "m:echo",
    "m:fail",
    "m:who",
    "m:nowhere",
    "m:hidden",
    "m:li-st",
    "m",
    "",
    "é",
    "m:" + "x" * 300,
)
REQUESTS = ("m:insert", "m:insert", "m:insert", "m:fail", "m:act", "m:rows", "m:nowhere", "m:in-sert")
JUNK: tuple[Any, ...] = (None, True, -1, 2**32, 1e300, "", "x", "\ud800", [], {}, [[[]]], {"a": 1})


@dataclass
class FuzzedSession:
    """What one client says. Its versions are right, unless it makes a mistake on purpose."""

    dice: Random
    admin_key: str
    query_set: int = 0
    identity: int = 0
    queries: list[int] = field(default_factory=list[int])
    ids: int = 0
    requests: int = 0

    def connect(self) -> str:
        fields: dict[str, Any] = {"sessionId": str(UUID(bytes=self.dice.randbytes(16))), "connectionCount": 0}
        if self.dice.random() < 0.3:
            fields["maxObservedTimestamp"] = self.dice.choice(("AAAAAAAAAAA=", "gLLg/FFyhhg=", "/////////38="))
        if self.dice.random() < 0.5:
            fields["clientTs"] = self.dice.choice((0, 1.5, -1e300, 1_767_225_600_123))
        return text("Connect", fields)

    def message(self) -> str:
        """One that the protocol allows."""
        kind = self.dice.random()
        if kind < 0.35:
            return self.modify()
        if kind < 0.75:
            return self.request()
        return (
            self.authenticate() if kind < 0.85 else text("Event", {"eventType": "x", "event": self.dice.choice(JUNK)})
        )

    def modify(self) -> str:
        base, self.query_set = self.query_set, self.query_set + self.dice.choice((1, 1, 1, 5))
        removed = [each for each in self.queries if self.dice.random() < 0.3]
        modifications: list[object] = [{"type": "Remove", "queryId": each} for each in removed]
        self.queries = [each for each in self.queries if each not in removed]
        for _ in range(self.dice.choice((0, 1, 1, 2, 5))):
            add = {"type": "Add", "queryId": self.ids, "udfPath": self.dice.choice(PATHS)}
            journal = self.dice.choice((None, None, "x", "é" * 100))
            modifications.append(self.with_args({**add, "journal": journal} if self.dice.random() < 0.5 else add))
            self.queries.append(self.ids)
            self.ids += 1
        fields = {"baseVersion": base, "newVersion": self.query_set, "modifications": modifications}
        return text("ModifyQuerySet", fields)

    def request(self) -> str:
        self.requests += 1
        fields = {"requestId": self.requests, "udfPath": self.dice.choice(REQUESTS)}
        return text(self.dice.choice(("Mutation", "Mutation", "Action")), self.with_args(fields))

    def authenticate(self) -> str:
        base, self.identity = self.identity, self.identity + 1
        if self.dice.random() < 0.5:
            return text("Authenticate", {"baseVersion": base, "tokenType": "None"})
        fields: dict[str, object] = {"baseVersion": base, "tokenType": "Admin", "value": self.admin_key}
        if self.dice.random() < 0.5:
            fields["impersonating"] = {
                "issuer": "https://i.test",
                "subject": self.dice.choice("ab"),
                "x": [1, {"y": None}],
            }
        return text("Authenticate", fields)

    def with_args(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self.dice.random() < 0.7:
            fields["args"] = [{"n": self.dice.randrange(5)}]
        elif self.dice.random() < 0.5:
            fields["args"] = Verbatim(value(self.dice, 0).decode("utf-8", "replace"))
        return fields

    def mistake(self) -> str:
        """One that the protocol does not allow, most likely."""
        how = self.dice.randrange(7)
        if how == 0:
            return self.dice.choice(("", "x", "null", "[]", "{}", '{"type":"Nothing"}', "[" * 10_000, "\x00", "é"))
        if how == 1:
            return self.connect()
        if how == 2:
            return text("ModifyQuerySet", {"baseVersion": self.query_set + 1, "newVersion": 9, "modifications": []})
        if how == 3:
            return text("Authenticate", {"baseVersion": self.identity, "tokenType": "User", "value": "a.b.c"})
        if how == 4:
            return text("Authenticate", {"baseVersion": self.identity, "tokenType": "Admin", "value": "no|key"})
        return self.garbled(self.message() if how == 5 else self.connect())

    def garbled(self, message: str) -> str:
        place = self.dice.randrange(len(message))
        how = self.dice.randrange(4)
        if how == 0:
            return message[:place]
        if how == 1:
            return message[:place] + chr(self.dice.randrange(32, 0x2FFF)) + message[place + 1 :]
        if how == 2:
            return message[:place] + message[place + self.dice.randint(1, 9) :]
        try:
            fields: dict[str, object] = json.loads(message)
        except ValueError:  # it holds something that is no JSON
            return message[:place]
        name = self.dice.choice(list(fields))
        if self.dice.random() < 0.5:
            del fields[name]
        else:
            fields[name] = self.dice.choice(JUNK)
        return json.dumps(fields)


class Verbatim(str):
    """JSON that is put in as it is."""

    __slots__ = ()


def text(kind: str, fields: dict[str, Any]) -> str:
    """A message. `Verbatim` texts may be anywhere in it, and need not be JSON."""
    verbatim: list[str] = []

    def mark(given: Any) -> Any:
        if isinstance(given, Verbatim):
            verbatim.append(given)
            return f"\x00{len(verbatim) - 1}\x00"
        if isinstance(given, dict):
            entries = cast("dict[str, Any]", given)
            return {name: mark(each) for name, each in entries.items()}
        return [mark(each) for each in cast("list[Any]", given)] if isinstance(given, list) else given

    written = json.dumps(mark({"type": kind, **fields}))
    for number, each in enumerate(verbatim):
        written = written.replace(json.dumps(f"\x00{number}\x00"), each)
    return written
