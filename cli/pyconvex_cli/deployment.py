"""One way to reach a deployment, for every command that needs one.

A running one is asked over HTTP; one that is not running is opened in this process (`embedded.py`) and asked the same
requests. What the commands send and get is the admin API either way.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import urlencode, urlsplit

import typer

from pyconvex import __version__
from pyconvex.errors import PyconvexError
from pyconvex_cli.json_objects import is_object
from pyconvex_cli.project import find_project, project_settings
from pyconvex_cli.usage import WrongUsage

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

CLIENT = f"pyconvex-cli-{__version__}"


class Unreachable(PyconvexError):
    """Nobody answers at the deployment's address (exit code 1)."""


class Refused(PyconvexError):
    """The deployment answered, and the answer is no. `code` is the deployment's own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        hint = "check --admin-key; `pyconvex admin-key` prints a project's own" if status in (401, 403) else None
        super().__init__(code, message, hint=hint)
        self.status = status


class Deployment(Protocol):
    """A deployment that can be asked. Both methods raise `Unreachable` and `Refused`."""

    @property
    def name(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def live(self) -> bool:
        """Whether it goes on without this process."""
        ...

    def get(self, path: str, **query: str | float) -> Any:
        """The JSON answer to `GET path?query`."""
        ...

    def post(self, path: str, body: object, *, acting_as: str = "") -> Any:
        """The JSON answer to `POST path`. `acting_as` is appended to the admin key, for `run --identity`."""
        ...

    def stream(self, path: str, body: object, *, acting_as: str = "") -> Generator[Any, None, None]:
        """The JSON objects that come in answer to `POST path`, one by one, as long as the deployment goes on."""
        ...


@dataclass(slots=True)
class Remote:
    """A deployment that runs in a process of its own."""

    url: str
    admin_key: str
    timeout: float = 90.0
    live: bool = True

    TIMEOUT: ClassVar[float] = 90.0
    """Above the 60 seconds that the server keeps a reader of the log waiting."""

    @property
    def name(self) -> str:
        return self.url

    def get(self, path: str, **query: str | float) -> Any:
        return self._send("GET", f"{path}?{urlencode(query)}" if query else path, None, "")

    def post(self, path: str, body: object, *, acting_as: str = "") -> Any:
        return self._send("POST", path, json.dumps(body).encode(), acting_as)

    def stream(self, path: str, body: object, *, acting_as: str = "") -> Generator[Any, None, None]:
        with self._asked("POST", path, json.dumps(body).encode(), acting_as) as response:
            if response.status != 200:
                answer_of(response.status, response.read())
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)

    def _send(self, method: str, target: str, body: bytes | None, acting_as: str) -> Any:
        with self._asked(method, target, body, acting_as) as response:
            return answer_of(response.status, response.read())

    @contextmanager
    def _asked(
        self, method: str, target: str, body: bytes | None, acting_as: str
    ) -> "Generator[HTTPResponse, None, None]":
        from http.client import HTTPException

        connection = self._connection()
        try:
            connection.request(method, target, body, headers_for(self.admin_key + acting_as))
            yield connection.getresponse()
        except TimeoutError:
            raise
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable("Unreachable", f"the deployment at {self.url} does not answer: {reason}") from None
        finally:
            connection.close()

    def _connection(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WrongUsage(f"{self.url!r} is not an http:// or https:// address")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname, parts.port, timeout=self.timeout)


def address_of(ctx: typer.Context, url: str | None, admin_key: str | None) -> Remote | None:
    """The running deployment a command is about: the one at `url`, else this project's; None when that is not running.

    Raises `NoProject`, `BadSetting`.
    """
    if url is None:
        url, key_there = _from_env_local()
        admin_key = admin_key or key_there
    if url is not None:
        if not admin_key:
            raise WrongUsage("--url needs --admin-key too (or CONVEX_SELF_HOSTED_ADMIN_KEY)")
        return Remote(url.rstrip("/"), admin_key)
    project = find_project()
    data = project / project_settings(ctx, project).data
    running = _running(data)
    return Remote(running, admin_key or _key(data)) if running else None


@contextmanager
def reach(
    ctx: typer.Context, url: str | None, admin_key: str | None, *, load: bool = False
) -> Generator[Deployment, None, None]:
    """The deployment a command is about; a project's that is not running is opened here.

    With `load`, its functions are loaded then.

    Raises `NoProject`, `BadSetting`, `LoadFailed`, `StartFailed`.
    """
    remote = address_of(ctx, url, admin_key)
    if remote is not None:
        yield remote
        return
    from pyconvex_cli.embedded import embedded  # it imports the whole engine

    project = find_project()
    with embedded(project, project_settings(ctx, project), load=load) as deployment:
        yield deployment


def headers_for(key: str) -> dict[str, str]:
    """What goes with every request of the CLI."""
    return {"Authorization": f"Convex {key}", "Content-Type": "application/json", "Convex-Client": CLIENT}


def answer_of(status: int, body: bytes) -> Any:
    """The JSON of an answer. Raises `Refused`."""
    try:
        answer = json.loads(body) if body else None
    except ValueError:
        raise Refused(status, "NotConvex", f"the answer ({status}) is not one of a Convex deployment") from None
    if status == 200:
        return answer
    if is_object(answer) and "code" in answer:
        raise Refused(status, str(answer["code"]), str(answer.get("message", "")))
    raise Refused(status, "NotConvex", f"the answer ({status}) is not one of a Convex deployment")


def _from_env_local() -> tuple[str | None, str | None]:
    """CONVEX_SELF_HOSTED_URL and its key from the project's .env.local, as Convex's own tools read them."""
    path = Path(".env.local")
    try:
        if b"CONVEX_SELF_HOSTED_URL" not in path.read_bytes():
            return None, None
    except OSError:
        return None, None
    from dotenv import dotenv_values

    values = dotenv_values(path)
    return values.get("CONVEX_SELF_HOSTED_URL"), values.get("CONVEX_SELF_HOSTED_ADMIN_KEY")


def _running(data: Path) -> str | None:
    """The address of the server of the deployment in `data`, if it has one that lives."""
    if not (data / "server.json").exists():
        return None
    from pyconvex.host.lock import running_server

    running = running_server(data)
    return running.url if running else None


def _key(data: Path) -> str:
    try:
        return (data / "admin_key").read_text(encoding="ascii").strip()
    except OSError as error:
        raise PyconvexError("NoAdminKey", f"cannot read {data / 'admin_key'}: {error.strerror}") from None
