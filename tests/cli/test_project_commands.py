"""`routes`, `functions`, `codegen`, `run`, `env`, `logs`, `limits`, `admin-key` on a project that is not running."""

import json
from pathlib import Path

import pytest

from pyconvex_cli.commands.env import quoted
from pyconvex_cli.commands.run import function_path
from support.command import command
from support.dev import Ran

MESSAGES = """\
import os

from pyconvex.server import Request, Response
from ._generated.api import internal
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, http_action, internal_mutation, query


@query
async def by_author(ctx: QueryCtx, author: str):
    print("asked for", author)
    return [message["body"] for message in await ctx.db.query("messages").collect() if message["author"] == author]


@internal_mutation
async def send_one(ctx: MutationCtx, body: str, author: str) -> None:
    if not body:
        raise ValueError("nothing to say")
    await ctx.db.insert("messages", {"body": body, "author": author})


@query
async def origin(ctx: QueryCtx):
    return os.environ.get("CLIENT_ORIGIN")


@query
async def who(ctx: QueryCtx):
    return await ctx.auth.get_user_identity()


@http_action
async def post(ctx: ActionCtx, request: Request) -> Response:
    await ctx.run_mutation(internal.messages.send_one, **await request.json())
    return Response(None)
"""

HTTP = """\
from pyconvex.server import http_router
from .messages import post

http = http_router()
http.route(path="/postMessage", method="POST", handler=post)
http.route(path="/users/{id:int}", method="GET", handler=post)
http.route(path_prefix="/files/", method="GET", handler=post)
default = http
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/messages.py").write_text(MESSAGES)
    (folder / "convex/http.py").write_text(HTTP)
    return folder


def test_routes(project: Path) -> None:
    assert command("routes", folder=project) == Ran(
        0,
        "Route             Method   Handler         Where\n"
        "/postMessage      POST     messages:post   http.py:5\n"
        "/users/{id:int}   GET      messages:post   http.py:6\n"
        "/files/*          GET      messages:post   http.py:7\n",
        "",
    )
    ran = command("routes", "--json", folder=project)
    assert json.loads(ran.stdout)[0] == {
        "method": "POST",
        "path": "/postMessage",
        "handler": "messages:post",
        "place": "convex/http.py:5",
        "form": "exact",
    }
    assert command("routes", "--curl", folder=project).stdout == (
        "curl -X POST -d '{}' http://127.0.0.1:3211/postMessage\n"
        "curl http://127.0.0.1:3211/users/id\n"
        "curl http://127.0.0.1:3211/files/REST\n"
    )
    assert not (project / ".pyconvex").exists(), "looking at routes opens no deployment"


def test_routes_match(project: Path) -> None:
    assert command("routes", "--match", "get /users/42?x=1", folder=project).stdout == (
        "GET /users/{id:int} → messages:post\n"
        "   convex/http.py:6\n"
        "   why the path with parameters (no exact path matches)\n"
        "   id = 42\n"
    )
    found = json.loads(command("routes", "--match", "/files/a", "--json", folder=project).stdout)
    assert (found["path"], found["form"], found["why"]) == ("/files/*", "prefix", "the longest prefix")

    ran = command("routes", "--match", "POST /postmessage", folder=project)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr == (
        "error: no route for POST /postmessage; the nearest is POST /postMessage (convex/http.py:5): "
        "letter case differs\n"
    )
    assert command("routes", "--match", "GET /postMessage", folder=project).stderr.endswith(
        "POST /postMessage (convex/http.py:5): wrong method, it takes POST\n"
    )
    assert command("routes", "--match", "GET /users/ada", folder=project).stderr.endswith(
        "GET /users/{id:int} (convex/http.py:6): {name:int} takes whole numbers only\n"
    )
    assert command("routes", "--match", "GET /q", "--json", folder=project) == Ran(1, "null\n", "")


def test_routes_check(project: Path) -> None:
    ran = command("routes", "--check", folder=project)
    assert ran == Ran(0, "", "✔ 3 routes, nothing to complain about\n")

    with (project / "convex/http.py").open("a") as http:
        http.write('http.route(path_prefix="/users/", method="GET", handler=post)\n')
        for name in ("{rest:path}", "x"):
            http.write(f'http.route(path="/users/{name}", method="GET", handler=post)\n')
    ran = command("routes", "--check", folder=project)
    assert ran.exit_code == 1
    assert "warning[RouteNeverMatches]: GET /users/* never matches" in ran.stderr
    assert "convex/http.py:9" in ran.stderr


def test_without_routes(project: Path) -> None:
    (project / "convex/http.py").unlink()
    ran = command("routes", folder=project)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr.startswith("0 routes")


def test_functions(project: Path) -> None:
    ran = command("functions", folder=project)
    assert ran.stdout == (
        "Function             Kind                Arguments                      Where\n"
        "messages:by_author   query               author: string                 messages.py:9\n"
        "messages:origin      query               –                              messages.py:22\n"
        "messages:send_one    internal mutation   body: string, author: string   messages.py:15\n"
        "messages:who         query               –                              messages.py:27\n"
    )
    spec = json.loads(command("functions", "--json", folder=project).stdout)
    assert spec["url"] is None
    assert spec["functions"][2] == {
        "identifier": "messages.js:send_one",
        "functionType": "Mutation",
        "visibility": {"kind": "internal"},
        "args": {
            "type": "object",
            "value": {
                "body": {"fieldType": {"type": "string"}, "optional": False},
                "author": {"fieldType": {"type": "string"}, "optional": False},
            },
        },
        "returns": {"type": "null"},
    }
    assert spec["functions"][4] == {"functionType": "HttpAction", "method": "POST", "path": "/postMessage"}


def test_a_broken_folder_is_explained_everywhere(project: Path) -> None:
    (project / "convex/http.py").write_text("from .messages import nothing\n")
    for words in (["routes"], ["functions"], ["codegen"], ["run", "messages:origin"], ["dev", "--once"]):
        ran = command(*words, folder=project)
        assert (ran.exit_code, ran.stdout) == (1, ""), words
        assert "convex/http.py:1" in ran.stderr, words
        assert "1 │ from .messages import nothing" in ran.stderr, words
        assert "Traceback" not in ran.stderr, words


def test_codegen(project: Path) -> None:
    ran = command("codegen", "--check", folder=project)
    assert ran.exit_code == 1
    assert ran.stderr.startswith("error: out of date: convex/_generated/")
    assert not (project / "convex/_generated").exists()

    assert command("codegen", folder=project).stderr.startswith("✔ wrote ")
    assert command("codegen", "--check", folder=project) == Ran(0, "", "✔ convex/_generated is up to date\n")
    assert not (project / ".pyconvex").exists()


def test_what_a_module_prints_does_not_mix_with_data(project: Path) -> None:
    with (project / "convex/messages.py").open("a") as messages:
        messages.write('print("loading")\n')
    assert json.loads(command("routes", "--json", folder=project).stdout)


def test_run(project: Path) -> None:
    sent = command("run", "messages:send_one", '{"author": "Ada", "body": "hi"}', folder=project)
    assert sent == Ran(0, "", "")
    for name in ("messages:by_author", "api.messages.by_author", "messages:byAuthor", "convex/messages.py:by_author"):
        ran = command("run", name, '{"author": "Ada"}', folder=project)
        assert (ran.exit_code, json.loads(ran.stdout)) == (0, ["hi"]), name
        assert ran.stderr == "[LOG] 'asked for' 'Ada'\n"


def test_run_explains_failures(project: Path) -> None:
    ran = command("run", "messages:send_one", '{"author": "Ada", "body": ""}', folder=project)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr == (
        "error: messages:send_one failed: ValueError: nothing to say\n    at send_one (convex/messages.py:17)\n"
    )
    ran = command("run", "messages:sendTwo", folder=project)
    assert ran.exit_code == 1
    assert ran.stderr.splitlines()[-1] == (
        "hint: there are messages:by_author, messages:origin, messages:send_one, messages:who"
    )


def test_run_as_somebody(project: Path) -> None:
    assert command("run", "messages:who", folder=project).stdout == ""
    ran = command("run", "messages:who", "--identity", '{"name": "Ada"}', folder=project)
    identity = json.loads(ran.stdout)
    assert identity["name"] == "Ada"
    assert identity["tokenIdentifier"] == f"https://convex.test|{identity['subject']}"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("messages:send", "messages:send"),
        ("api.messages.send", "messages:send"),
        ("internal.admin.reports.daily", "admin/reports:daily"),
        ("convex/messages.py:send", "messages:send"),
        ("messages.js:send", "messages:send"),
        ("messages", "messages"),
    ],
)
def test_names_of_functions(name: str, path: str) -> None:
    assert function_path(name) == path


def test_variables(project: Path, tmp_path: Path) -> None:
    assert command("env", "list", folder=project) == Ran(0, "", "no variables are set\n")
    assert command("env", "set", "CLIENT_ORIGIN", "https://my.site", folder=project).stderr == "✔ set CLIENT_ORIGIN\n"
    assert json.loads(command("run", "messages:origin", folder=project).stdout) == "https://my.site"
    assert command("env", "set", "CLIENT_ORIGIN=b c", folder=project).stderr == "✔ changed CLIENT_ORIGIN\n"
    assert (
        command("env", "set", "A=1", "B='", "CLIENT_ORIGIN=x", folder=project).stderr == "✔ set 3 variables (2 new)\n"
    )

    key = "-----BEGIN-----\nline two\n-----END-----"
    assert command("env", "set", "KEY", folder=project, stdin=key + "\n").exit_code == 0
    assert command("env", "get", "KEY", folder=project).stdout == key + "\n"

    listed = command("env", "list", folder=project).stdout
    assert listed == f"A=1\nB=\"'\"\nCLIENT_ORIGIN=x\nKEY='{key}'\n"
    backup = tmp_path / "backup.env"
    backup.write_text(listed)

    assert command("env", "remove", "A", "KEY", "NONE", folder=project).stderr == (
        "✔ removed A\n✔ removed KEY\n✔ NONE was not set\n"
    )
    assert command("env", "set", "--from-file", str(backup), folder=project).exit_code == 0
    assert command("env", "list", folder=project).stdout == listed
    assert json.loads(command("env", "list", "--json", folder=project).stdout)["KEY"] == key


def test_variables_that_cannot_be(project: Path) -> None:
    ran = command("env", "get", "CLIENT_ORIGN", folder=project)
    assert ran == Ran(1, "", "error: there is no variable CLIENT_ORIGN\n")
    ran = command("env", "set", "CONVEX_SITE_URL", "x", folder=project)
    assert ran == Ran(2, "", 'error: variable "CONVEX_SITE_URL" is built-in and cannot be changed\n')
    ran = command("env", "set", "A=1", "not-a-name=2", folder=project)
    assert ran.exit_code == 1
    assert "not-a-name" in ran.stderr
    assert command("env", "list", folder=project).stderr == "no variables are set\n"
    assert command("env", "set", "--from-file", "none.env", folder=project).stderr == (
        "error: cannot read none.env: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [("", ""), ("http://a/b?c=1", "http://a/b?c=1"), ("a b", "'a b'"), ("it's", '"it\'s"'), ("'\"\\", '"\'\\"\\\\"')],
)
def test_quoting(value: str, text: str) -> None:
    assert quoted(value) == text


def test_modules_see_the_deployments_variables_while_they_are_listed(project: Path) -> None:
    with (project / "convex/messages.py").open("a") as messages:
        messages.write('REQUIRED = os.environ["REQUIRED"]\n')
    assert command("routes", folder=project).exit_code == 1
    command("env", "set", "REQUIRED", "yes", folder=project)
    assert command("routes", folder=project).exit_code == 0


def test_logs_of_a_stopped_project(project: Path) -> None:
    assert command("logs", folder=project) == Ran(0, "", "nothing in the log\n")
    command("run", "messages:send_one", '{"author": "Ada", "body": "hi"}', folder=project)
    command("run", "messages:send_one", '{"author": "Ada", "body": ""}', folder=project)
    command("run", "messages:by_author", '{"author": "Ada"}', folder=project)

    rows = command("logs", folder=project).stdout.splitlines()
    assert [row.split()[1:3] for row in rows if "messages:" in row] == [
        ["mutation", "messages:send_one"],
        ["mutation", "messages:send_one"],
        ["query", "messages:by_author"],
    ]
    assert any("ValueError: nothing to say" in row for row in rows)
    assert any(row.endswith("│ asked for Ada") for row in rows)

    newest = command("logs", "-n", "1", "--json", folder=project).stdout.splitlines()
    assert [json.loads(line)["identifier"] for line in newest] == ["messages:by_author"]
    failed = command("logs", "--no-success", "--json", folder=project).stdout.splitlines()
    assert [json.loads(line)["error"].partition("\n")[0] for line in failed] == ["Uncaught ValueError: nothing to say"]
    assert command("logs", "--grep", "nowhere", folder=project).stderr == "nothing in the log matches\n"
    assert command("logs", "--since", "1h", "--kind", "query", "--json", folder=project).stdout.count("\n") == 1
    assert command("logs", "--since", "2999-01-01", folder=project).stdout == ""


def test_limits_say_where_they_come_from(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.pyconvex.limits]\naction_seconds = 30\n")
    ran = command(
        "limits", "--limit", "query_seconds=2", folder=project, environment={"PYCONVEX_LIMITS": "log_lines=9"}
    )
    rows = [line.split() for line in ran.stdout.splitlines()]
    assert ["query_seconds", "2", "s", "--limit"] in [row[:4] for row in rows]
    assert ["action_seconds", "30", "s", "pyproject.toml"] in [row[:4] for row in rows]
    assert ["log_lines", "9", "PYCONVEX_LIMITS"] in [row[:3] for row in rows]
    assert ["load_seconds", "4", "s", "default"] in [row[:4] for row in rows]
    listed = {each["name"]: each for each in json.loads(command("limits", "--json", folder=project).stdout)}
    assert listed["action_seconds"]["value"] == 30.0
    assert listed["action_seconds"]["from"] == "pyproject.toml"


def test_the_admin_key(project: Path) -> None:
    ran = command("admin-key", folder=project)
    assert ran.exit_code == 1
    assert ran.stderr.startswith("error: this project has no admin key yet\nhint: ")
    command("env", "list", folder=project)
    key = command("admin-key", folder=project).stdout.strip()
    assert key.startswith("app|")
    assert (project / ".pyconvex/admin_key").stat().st_mode & 0o777 == 0o600
