"""The mutations and actions of one client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.failures import Failure
from pyconvex.engine.runner import Outcome
from pyconvex.engine.session_requests import SessionRequest, request_number
from pyconvex.errors import RequestRefused
from pyconvex.functions.function import Kind
from pyconvex.values.value import InvalidValue
from pyconvex.values.wire import decode

from .messages import action_response, mutation_response
from .session import check_component

if TYPE_CHECKING:
    from collections.abc import Callable

    from .effects import Request
    from .messages import Connect
    from .outbox import Socket
    from .services import Services

MUTATION_SECONDS: Final = 60.0
"""How long a mutation may take with all its attempts."""


class Mutated(NamedTuple):
    response: bytes
    ts: int | None
    """Of its commit (ns), if it succeeded."""


class Calls:
    """Runs functions for the client behind `socket`."""

    def __init__(self, services: Services, socket: Socket) -> None:
        self._services = services
        agent = socket.header(b"user-agent")
        self._from = socket.client_ip, None if agent is None else agent.decode("latin-1")

    async def mutate(self, session: Connect, request: Request, committing: Callable[[bool], None]) -> Mutated:
        """Runs a mutation once, however often it was asked for.

        Args:
            committing: told when it is about to be committed, and when it runs again after all.

        Raises:
            RequestRefused: it could not be run.
        """
        around = SessionRequest(str(session.session_id), request.request_id, committing)
        try:
            async with asyncio.timeout(MUTATION_SECONDS):
                outcome = await around.look_up(self._services.runner.services.store) if session.again else None
                if outcome is None:
                    outcome = await self._call(session, request, Kind.MUTATION, around)
        except TimeoutError:
            raise RequestRefused(
                503, "SystemTimeoutError", f"The mutation took more than {MUTATION_SECONDS:g} s"
            ) from None
        number = request_number(str(session.session_id), request.request_id)
        response = mutation_response(request.request_id, outcome, number, redacted=self._services.redact)
        return Mutated(response, outcome.ts if outcome.failure is None else None)

    async def act(self, session: Connect, request: Request) -> bytes:
        """Runs an action; its response.

        Raises:
            RequestRefused: it could not be run.
        """
        outcome = await self._call(session, request, Kind.ACTION)
        number = request_number(str(session.session_id), request.request_id)
        return action_response(request.request_id, outcome, number, redacted=self._services.redact)

    async def _call(
        self, session: Connect, request: Request, kind: Kind, around: SessionRequest | None = None
    ) -> Outcome:
        number = request_number(str(session.session_id), request.request_id)
        call = Call(Caller.SYNC_WORKER, request.identity, number, *self._from)
        admin = request.identity.is_admin
        try:
            check_component(request.component)
            args = decode(bytes(request.args))
            return await self._services.runner.call(request.path, args, call, kind=kind, internal=admin, around=around)
        except InvalidValue as error:
            return Outcome(failure=Failure(f"Invalid arguments for {request.path}: {error.message}"))
        except RequestRefused as error:
            if error.status != 400:
                raise
            return Outcome(failure=Failure(error.message))
