"""`pyconvex replay`: one of the kept requests once more, now or as a test."""

import json as json_text
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any

import typer

from pyconvex.errors import PyconvexError
from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.deployment import reach
from pyconvex_cli.usage import WrongUsage


def replay(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The request: the beginning of its id is enough, or `last`.")],
    to_test: Annotated[
        bool, typer.Option("--to-test", help="Do not send it: write it as a pytest test, into tests/.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="With --to-test, write there; - prints it.")
    ] = None,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Send a kept request again, to the functions as they are now. Exit code 1 when the answer is 400 or above.

    The signature of a webhook counts as it did when it first came: its age is measured from then.
    """
    if to_test:
        if json:
            raise WrongUsage("--to-test and --json exclude each other")
        _write_test(ctx, id, output, url, admin_key)
        return
    if output is not None:
        raise WrongUsage("--output goes with --to-test")
    with reach(ctx, url, admin_key, load=True) as deployment:
        answer = deployment.post("/api/pyconvex/replay", {"id": id})
    if json:
        from pyconvex_cli.request_view import with_body_text

        console.data(json_text.dumps(with_body_text(answer), indent=2, ensure_ascii=False))
    else:
        _show(answer)
    raise typer.Exit(0 if 0 < answer["status"] < 400 else 1)


def _show(answer: dict[str, Any]) -> None:
    """The body on standard output, everything about it beside."""
    from pyconvex_cli.console import harmless
    from pyconvex_cli.request_view import answered, body_lines, status_style, took

    status = console.err.paint(status_style(answer["status"]), answered(answer["status"]))
    request = f"{answer['method']} {harmless(answer['path'])}"
    console.say(f"{request} → {status} in {took(answer)} (it was {answered(answer['was'])})")
    if body := b64decode(answer["body"]):
        console.data(body_lines(body))
    if not answer["whole"]:
        console.warn("this is not the whole answer: it was cut off, or has no end")


def _write_test(ctx: typer.Context, id: str, output: Path | None, url: str | None, admin_key: str | None) -> None:
    from pyconvex_cli.project import find_project, project_settings
    from pyconvex_cli.request_test import RequestTest
    from pyconvex_cli.request_trial import names_in, trial_of

    project = find_project()
    functions = project_settings(ctx, project).functions
    with reach(ctx, url, admin_key) as deployment:
        request = deployment.get("/api/pyconvex/request", id=id, secrets="true")
        variables = deployment.get("/api/list_environment_variables")["environmentVariables"]
    if not request["whole"]:
        raise PyconvexError("RequestNotWhole", f"not all of the body of {request['id']} was kept to make a test of")
    test = RequestTest(request, variables, names_in(project / functions), functions)
    trial = trial_of(test, project)
    _put(test.name, test.text(trial.status or request["status"]), project, output)
    if trial.status is None:
        console.warn(trial.trouble, hint="complete what the test sets up (ENV, documents), then run it")
    elif trial.status != request["status"]:
        console.warn(
            f"in an empty deployment the answer is {trial.status}, and it was {request['status']}",
            hint="arrange in the test what the request needs, then expect that status",
        )


def _put(name: str, text: str, project: Path, output: Path | None) -> None:
    if output == Path("-"):
        console.data(text.rstrip("\n"))
        return
    file = output or _free(project / "tests", name)
    if file.exists():
        raise PyconvexError("FileExists", f"{file} exists already", hint="give --output another name")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    console.data(str(file))
    console.say("its path, headers and body are as they came: look for what is private before you commit it")


def _free(folder: Path, name: str) -> Path:
    """A file of that name, or with a number, that does not exist yet."""
    file, number = folder / f"{name}.py", 2
    while file.exists():
        file, number = folder / f"{name}_{number}.py", number + 1
    return file
