"""What all sessions of a deployment share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.engine.auth.authentication import Authentication
    from pyconvex.engine.live.queries import LiveQueries
    from pyconvex.engine.runner import Runner


class Services(Struct, frozen=True, kw_only=True):
    """`redact` keeps error texts and log lines from clients."""

    runner: Runner
    live: LiveQueries
    authentication: Authentication
    clock: Clock
    redact: bool = False
    running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """The mutations and actions that run; they end even when their client has gone."""
