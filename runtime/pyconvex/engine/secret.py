"""The secret of a deployment: what it gives clients to keep, and wants to recognise later, is sealed with it.

It lies in the database, so it outlives restarts and all nodes of one database share it; so does the deployment's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from pyconvex.store.schema.catalog import BY_CREATION_TIME, SECRETS

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.store.store import Store
    from pyconvex.store.transaction import Transaction

SECRET_BYTES: Final = 32


class DeploymentSecret(NamedTuple):
    secret: bytes
    name: str
    """What the process called the deployment that drew the secret."""


async def deployment_secret(store: Store, clock: Clock, name: str) -> DeploymentSecret:
    """The secret of the deployment in `store`, drawn when it has none yet; it is called `name` then."""
    async with store.snapshot() as transaction:
        known = await _stored(transaction, name)
    if known is not None:
        return known

    async def draw(transaction: Transaction) -> DeploymentSecret:
        known = await _stored(transaction, name)
        if known is not None:
            return known  # another node was quicker
        drawn = DeploymentSecret(clock.random_bytes(SECRET_BYTES), name)
        await transaction.insert(SECRETS, {"secret": drawn.secret, "name": drawn.name})
        return drawn

    return (await store.mutate(draw)).value


async def _stored(transaction: Transaction, name: str) -> DeploymentSecret | None:
    index = transaction.index(SECRETS, BY_CREATION_TIME)
    assert index is not None, "system tables are always there"
    documents = await transaction.take(index, limit=1)
    if not documents:
        return None
    return DeploymentSecret(cast("bytes", documents[0]["secret"]), cast("str", documents[0].get("name", name)))
