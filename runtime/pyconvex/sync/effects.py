"""What a session wants done: its only way to the world."""

from typing import NamedTuple, TypeAlias

import msgspec

from pyconvex.engine.auth.identity import Identity
from pyconvex.values.value import Value

from .messages import Authenticate


class Send(NamedTuple):
    text: bytes
    transition: bool = False
    """`Session.delivered` is to be called when it was sent."""


class Close(NamedTuple):
    """Nothing is to be done after it."""

    code: int
    reason: str = ""


class Verify(NamedTuple):
    """Find out who the client is. `Session.verified` or `refused` is to be called before it is heard again."""

    message: Authenticate


class Subscribe(NamedTuple):
    query_id: int
    path: str
    args: Value
    journal: str | None


class Unsubscribe(NamedTuple):
    query_id: int


class Identify(NamedTuple):
    """From now on queries are answered for `identity`."""

    identity: Identity


class Refresh(NamedTuple):
    """Get a view of all queries at `at_least` (ns) or later, for `Session.viewed`."""

    at_least: int


class Request(NamedTuple):
    """A mutation or an action, asked for by `identity`."""

    request_id: int
    path: str
    args: msgspec.Raw
    identity: Identity
    component: str | None = None


class RunMutation(NamedTuple):
    """`Session.mutated` is to be called."""

    request: Request


class RunAction(NamedTuple):
    """`Session.acted` is to be called."""

    request: Request


Effect: TypeAlias = Send | Close | Verify | Subscribe | Unsubscribe | Identify | Refresh | RunMutation | RunAction
