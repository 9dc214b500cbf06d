"""Variables of the deployment, and the `os.environ` that functions see.

Variables are documents of a private system table, so they are durable and change atomically. Inside a function,
and while the user's modules are loaded, `os.environ` looks among them first; everywhere else it is the process's
own. https://docs.convex.dev/production/environment-variables
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from msgspec import Struct

from pyconvex.engine.execution import current
from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.schema.catalog import BY_CREATION_TIME, EMPTY_CATALOG, ENVIRONMENT
from pyconvex.values.ids import DocumentId, decode_id

if TYPE_CHECKING:
    from pyconvex.settings import Limits
    from pyconvex.store.keys import Commit
    from pyconvex.store.store import Store
    from pyconvex.store.transaction import Transaction

EVERY_NAME: Final = "*"
NAME_LENGTH_MAX: Final = 256
VALUE_BYTES_MAX: Final = 8192
TOTAL_BYTES_MAX: Final = 512 * 1024

_NAME = re.compile(r"[a-zA-Z_]+[a-zA-Z0-9_]*", re.ASCII)
_HIDDEN_PREFIXES: Final = ("PYCONVEX_", "CONVEX_SELF_HOSTED_")
_TABLE: Final = EMPTY_CATALOG.system(ENVIRONMENT)
_BUILT_IN: Final = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL"})


class Urls(Struct):
    """The deployment's two addresses, without a slash at the end; known once the ports are bound."""

    cloud: str = "http://127.0.0.1:3210"
    site: str = "http://127.0.0.1:3211"


class Environment:
    """The variables of one deployment.

    `variables` is always what the last change left behind; of changes made by other processes it hears soon after.
    """

    def __init__(self, store: Store, limits: Limits, urls: Urls) -> None:
        self._store = store
        self._limits = limits
        self._urls = urls
        self._variables: Mapping[str, str] = {}
        self._ts = 0
        self._callbacks: list[Callable[[frozenset[str]], None]] = []
        self._reading: set[asyncio.Task[None]] = set()
        store.on_commit(self._hear)

    @property
    def variables(self) -> Mapping[str, str]:
        """Name → value, sorted by name, without the built-in ones."""
        return self._variables

    async def open(self) -> None:
        """Reads the variables from the store."""
        async with self._store.snapshot() as transaction:
            self._keep({name: value for name, (_, value) in (await _stored(transaction)).items()}, transaction.ts)

    async def set_many(self, changes: Mapping[str, str | None]) -> None:
        """Sets every name to its value, or removes it where the value is None; all of them or none.

        Raises `RequestRefused` 400: `EnvironmentVariableNameInvalid`, `EnvironmentVariableNameTooLong`,
        `EnvironmentVariableValueTooLarge`, `EnvVarLimitMet`.
        """
        for name, value in changes.items():
            _check(name, value)

        async def change(transaction: Transaction) -> dict[str, str]:
            stored = await _stored(transaction)
            after = {name: value for name, (_, value) in stored.items()}
            for name, value in changes.items():
                if name in stored:
                    await transaction.delete(stored[name][0])
                    del after[name]
                if value is not None:
                    await transaction.insert(ENVIRONMENT, {"name": name, "value": value})
                    after[name] = value
            self._check_size(after)
            return dict(sorted(after.items()))

        committed = await self._store.mutate(change)
        self._keep(committed.value, committed.ts)

    def get(self, name: str) -> str | None:
        """What a function finds under `name`: a variable of the deployment, a built-in, or one of the process."""
        if name in _BUILT_IN:
            return self._urls.cloud if name == "CONVEX_CLOUD_URL" else self._urls.site
        if (value := self._variables.get(name)) is not None:
            return value
        return None if name.startswith(_HIDDEN_PREFIXES) else _of_process(name)

    def names(self) -> set[str]:
        """Every name that `get` answers."""
        inherited = {name for name in _names_of_process() if not name.startswith(_HIDDEN_PREFIXES)}
        return inherited | _BUILT_IN | self._variables.keys()

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Call `callback` with the names of variables that have changed, when functions see them so.

        `EVERY_NAME` is always among them, which is what a function has read that asked for all names.
        """
        self._callbacks.append(callback)

    @contextmanager
    def visible(self) -> Generator[set[str]]:
        """Makes `os.environ` answer from here: in this context, and in threads started with `asyncio.to_thread`.

        Gives the names that are read there, as they come.
        """
        read: set[str] = set()
        token = _loading.set(_Loading(self, read))
        try:
            yield read
        finally:
            _loading.reset(token)

    def _keep(self, variables: Mapping[str, str], ts: int) -> None:
        if ts < self._ts:
            return
        before, self._variables, self._ts = self._variables, variables, ts
        changed = frozenset(name for name, _ in before.items() ^ variables.items())
        if changed:
            for callback in self._callbacks:
                callback(changed | {EVERY_NAME})

    def _hear(self, commit: Commit) -> None:
        """Read the variables again after another process has changed them."""
        if commit.documents or not (commit.everything or any(key.index in _TABLE.numbers for key in commit.written)):
            return
        task = asyncio.get_running_loop().create_task(self._read_again(), context=Context())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read_again(self) -> None:
        with suppress(StoreFailed):  # the database went away: whatever is missed is told of when it is back
            await self.open()

    def _check_size(self, variables: Mapping[str, str]) -> None:
        total = sum(len(name) + len(value.encode()) for name, value in variables.items())
        if len(variables) > self._limits.environment_variables:
            limit = f"{self._limits.environment_variables} variables"
        elif total > TOTAL_BYTES_MAX:
            limit = f"{TOTAL_BYTES_MAX} bytes in all names and values"
        else:
            return
        raise RequestRefused(400, "EnvVarLimitMet", f"The environment of a deployment holds at most {limit}.")


def install() -> None:
    """Gives `os.environ` the class that knows about functions; once per process."""
    if type(os.environ) is not _FunctionEnviron:
        os.environ.__class__ = _FunctionEnviron


class _Loading(NamedTuple):
    """Modules are executed."""

    environment: Environment
    read: set[str]


_loading: ContextVar[_Loading | None] = ContextVar("pyconvex_loading_environment", default=None)


def _active(name: str | None = None) -> Environment | None:
    """The environment of the code that runs now, None outside of user code. `name` is noted as read."""
    execution = current.get()
    if execution is not None:
        environment, read = execution.services.environment, execution.variables_read
    elif (loading := _loading.get()) is not None:
        environment, read = loading
    else:
        return None
    if name is not None:
        read.add(name)
    return environment


_Process = os._Environ[str]  # pyright: ignore[reportPrivateUsage] - the class of os.environ has no public name


class _FunctionEnviron(_Process):
    """`os.environ` for a process that runs functions: theirs inside a call, the process's own elsewhere."""

    def __getitem__(self, key: str) -> str:
        environment = _active(key)
        if environment is None:
            return super().__getitem__(key)
        value = environment.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        environment = _active(EVERY_NAME)
        return super().__iter__() if environment is None else iter(sorted(environment.names()))

    def __len__(self) -> int:
        environment = _active(EVERY_NAME)
        return super().__len__() if environment is None else len(environment.names())

    def __repr__(self) -> str:
        return super().__repr__() if _active() is None else f"environ({dict(self)!r})"

    def __setitem__(self, key: str, value: str) -> None:
        _refuse_change(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        _refuse_change(key)
        super().__delitem__(key)


def _refuse_change(name: str) -> None:
    """Queries and mutations change nothing outside the database; actions may set what libraries read."""
    execution = current.get()
    if execution is not None and execution.is_transaction:
        raise DeveloperError(
            "EnvironmentIsReadOnly",
            f"Can't change the environment variable {name!r} in queries and mutations.",
            hint=f"Set it with `pyconvex env set {name} …`.",
        )


def _of_process(name: str) -> str | None:
    try:
        return _Process.__getitem__(os.environ, name)
    except KeyError:
        return None


def _names_of_process() -> Iterator[str]:
    return _Process.__iter__(os.environ)


async def _stored(transaction: Transaction) -> dict[str, tuple[DocumentId, str]]:
    """Id of the document and value, by name; sorted by name."""
    index = transaction.index(ENVIRONMENT, BY_CREATION_TIME)
    assert index is not None, "system tables are always there"
    documents = await transaction.take(index)
    return {
        cast("str", document["name"]): (decode_id(cast("str", document["_id"])), cast("str", document["value"]))
        for document in sorted(documents, key=lambda document: cast("str", document["name"]))
    }


def _check(name: str, value: str | None) -> None:
    if name in _BUILT_IN:
        raise RequestRefused(
            400, "EnvironmentVariableNameForbidden", f"Environment variable {name!r} is built in and cannot be changed."
        )
    if not _NAME.fullmatch(name):
        raise RequestRefused(
            400,
            "EnvironmentVariableNameInvalid",
            f"Environment variable name {name!r} must be made of letters, digits and underscores, "
            "and not begin with a digit.",
        )
    if len(name) > NAME_LENGTH_MAX:
        raise RequestRefused(
            400,
            "EnvironmentVariableNameTooLong",
            f"Environment variable name {name[:40]!r}… has {len(name)} characters; the limit is {NAME_LENGTH_MAX}.",
        )
    if value is not None and len(value.encode()) > VALUE_BYTES_MAX:
        raise RequestRefused(
            400,
            "EnvironmentVariableValueTooLarge",
            f"The value of environment variable {name!r} has {len(value.encode())} bytes; "
            f"the limit is {VALUE_BYTES_MAX}.",
        )
