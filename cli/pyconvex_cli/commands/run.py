"""`pyconvex run`: call one function."""

import base64
import hashlib
import json as json_text
import re
from typing import Annotated, Any

import typer

from pyconvex.errors import PyconvexError
from pyconvex_cli import flags
from pyconvex_cli.console import console, harmless
from pyconvex_cli.deployment import Deployment, address_of, reach
from pyconvex_cli.json_objects import is_object
from pyconvex_cli.usage import WrongUsage


def run(
    ctx: typer.Context,
    function: Annotated[
        str, typer.Argument(metavar="FN", help="messages:send, api.messages.send or convex/messages.py:send.")
    ],
    arguments: Annotated[str, typer.Argument(metavar="ARGS", help="The arguments, a JSON object.")] = "{}",
    watch: Annotated[
        bool, typer.Option("--watch", help="Print each new result of a query as data or code change, until Ctrl-C.")
    ] = False,
    identity: Annotated[
        str | None, typer.Option(metavar="JSON", help='Call it as this user, for example {"name": "Ada"}.')
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Have a running deployment load the functions as they are saved now, first.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Show what it read and wrote, and how near its limits it came.")
    ] = False,
    json: flags.Json = False,
    limit: flags.Limits = None,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Call a function and print its result as JSON. Internal functions can be called too.

    With --json the whole answer is one JSON object: status, value, logLines, and the report if there is one.
    """
    del limit
    if watch and report:
        raise WrongUsage("--report is about one call: leave out --watch")
    path = function_path(function)
    call = {
        "path": path,
        "args": _object(arguments, "ARGS"),
        "format": "convex_encoded_json",
    }
    acting_as = "" if identity is None else acting_as_suffix(_object(identity, "--identity"))
    if push and (running := address_of(ctx, url, admin_key)) is not None:
        running.post("/api/pyconvex/push", {})
    if watch:
        from pyconvex_cli.live_run import follow

        follow(ctx, url, admin_key, call, acting_as, json=json)
        return
    with reach(ctx, url, admin_key, load=True) as deployment:
        endpoint = "/api/pyconvex/report" if report else "/api/function"
        answer = deployment.post(endpoint, call, acting_as=acting_as)
        available = available_for(deployment, answer)
    if json:
        console.data(json_text.dumps(answer, indent=2, ensure_ascii=False))
        raise typer.Exit(0 if answer["status"] == "success" else 1)
    show(path, answer, hint=available)


def show(path: str, answer: dict[str, Any], *, hint: str | None = None) -> None:
    """Print how a call of `path` ended: its result on stdout, everything else on stderr.

    Raises `FunctionFailed`, with `hint` where there is no better one.
    """
    paint = console.err.paint
    for line in answer.get("logLines", ()):
        console.say(paint("muted", harmless(line)))
    if answer.get("report") is not None:
        from pyconvex_cli.access_report import report_lines

        console.say(report_lines(answer["report"], console.err))
    if answer["status"] != "success":
        message = harmless(answer["errorMessage"]).removeprefix("Uncaught ").rstrip()
        if redacted := re.fullmatch(r"\[Request ID: (\w+)\] Server Error", message):
            hint = f"production keeps errors to its log: pyconvex logs --request-id {redacted[1]}"
            raise PyconvexError("FunctionFailed", f"{path} failed", hint=hint)
        raise PyconvexError("FunctionFailed", f"{path} failed: {_for_people(message)}", hint=hint)
    if answer["value"] is not None:
        console.data(json_text.dumps(answer["value"], indent=2, ensure_ascii=False))


def function_path(name: str) -> str:
    """The path of a function in any of the forms people use.

    >>> [function_path(name) for name in ("api.admin.reports.daily", "convex/messages.py:send", "messages")]
    ['admin/reports:daily', 'messages:send', 'messages']
    """
    if match := re.fullmatch(r"(?:api|internal)\.(.+)\.([^.]+)", name):
        return f"{match[1].replace('.', '/')}:{match[2]}"
    module, colon, function = name.removeprefix("convex/").partition(":")
    return f"{re.sub(r'[.](py|js|ts)$', '', module)}{colon}{function}"


def acting_as_suffix(identity: dict[str, Any]) -> str:
    """What follows the admin key to act as a user; issuer and subject are filled in, as Convex's CLI does."""
    digest = hashlib.sha256(json_text.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    filled = {"issuer": "https://convex.test", "subject": digest, **identity}
    filled.setdefault("tokenIdentifier", f"{filled['issuer']}|{filled['subject']}")
    return ":" + base64.b64encode(json_text.dumps(filled).encode()).decode()


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value: object = json_text.loads(text)
    except ValueError as error:
        raise WrongUsage(f"{what} is not JSON: {error}") from None
    if not is_object(value):
        raise WrongUsage(f'{what} must be a JSON object such as {{"author": "Ada"}}')
    return value


def available_for(deployment: Deployment, answer: dict[str, Any]) -> str | None:
    """The functions there are, when the one that was called is not among them."""
    if answer["status"] == "success" or "Could not find" not in answer["errorMessage"]:
        return None
    paths = [each["path"] for each in deployment.get("/api/pyconvex/deployment")["functions"]]
    return f"there are {', '.join(sorted(paths))}" if paths else "there are no functions yet"


def _for_people(message: str) -> str:
    """As a person in the project reads it: without the request id, and with places from here."""
    return re.sub(r"^\[Request ID: \w+\] Server Error\n?(Uncaught )?", "", message).replace(" (../", " (")
