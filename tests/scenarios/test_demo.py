"""The first five minutes, as the README tells them: scaffold, serve, curl, edit, look."""

import json
import re
import shlex
import socket
import time
from pathlib import Path

import pytest

from support.dev import Dev, dev, init, pyconvex, wait_until

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return init(tmp_path / "chat", "messages")


def test_the_curl_lines_of_the_readme(project: Path) -> None:
    """Each `$ curl` line is sent, and answered with what stands below it (`…` for what differs from run to run)."""
    commands = re.findall(r"^\$ curl (.*)\n(.*)$", README, re.MULTILINE)
    assert len(commands) == 3
    with dev(project) as running:
        for arguments, answer in commands:
            method, path, body = _parse(arguments)
            reply = running.fetch(method, path, body)
            shown = f"HTTP/1.1 {reply.status} {reply.reason}" if "-i" in arguments.split() else reply.text
            assert re.fullmatch(re.escape(answer).replace("…", ".+"), shown), shown


def _parse(arguments: str) -> tuple[str, str, str | None]:
    words = shlex.split(arguments)
    path = next(word for word in words if word.startswith("http")).removeprefix("http://127.0.0.1:3211")
    body = words[words.index("-d") + 1] if "-d" in words else None
    return ("POST" if body else "GET"), path, body


def test_an_edit_is_served_and_a_broken_one_is_not(project: Path) -> None:
    module = project / "convex" / "messages.py"
    good = module.read_text()

    def posted(running: Dev) -> str:
        assert running.fetch("POST", "/postMessage", '{"author": "Ada", "body": "hi"}').status == 200
        return running.fetch("GET", "/getMessagesByAuthor?author=Ada").json[0]["body"]

    with dev(project) as running:
        module.write_text(good.replace("Sent via HTTP action", "Edited"))
        wait_until(lambda: posted(running) == "Edited: hi", "the edit is served")
        module.write_text(good + "\n\ndef broken(:\n")
        wait_until(lambda: "error[SyntaxError]" in running.said, "the problem is shown")
        assert f"convex/messages.py:{good.count(chr(10)) + 3}" in running.said
        assert posted(running) == "Edited: hi"


def test_an_image_goes_in_and_comes_out(project: Path) -> None:
    picture = bytes(range(256)) * 20
    with dev(project) as running:
        assert pyconvex("env", "set", "CLIENT_ORIGIN", "https://my.site", folder=project).exit_code == 0
        preflight = running.fetch(
            "OPTIONS",
            "/sendImage",
            headers={
                "Origin": "https://my.site",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "Content-Type, Digest",
            },
        )
        assert preflight.headers["access-control-allow-origin"] == "https://my.site"
        assert "POST" in preflight.headers["access-control-allow-methods"]
        sent = running.fetch("POST", "/sendImage?author=Ada", picture, {"Content-Type": "image/png"})
        assert sent.headers["access-control-allow-origin"] == "https://my.site"
        storage_id = sent.json["storageId"]
        got = running.fetch("GET", f"/getImage?storageId={storage_id}")
        assert (got.status, got.headers["content-type"], got.body) == (200, "image/png", picture)


def test_the_other_commands_beside_a_running_server(project: Path) -> None:
    with dev(project) as running:
        running.fetch("POST", "/postMessage", '{"author": "Ada", "body": "hi"}')
        routes = pyconvex("routes", folder=project)
        assert "/postMessage" in routes.stdout
        assert "messages:post_message" in routes.stdout
        functions = json.loads(pyconvex("functions", "--json", folder=project).stdout)
        assert {"messages.js:by_author", "messages.js:send_one"} <= {
            function.get("identifier") for function in functions["functions"]
        }
        ran = pyconvex("run", "messages:by_author", '{"author": "Ada"}', folder=project)
        assert [document["author"] for document in json.loads(ran.stdout)] == ["Ada"]
        wait_until(lambda: "POST /postMessage" in _history(project), "the request is in the log")


def test_logs_outlive_the_server_and_data_too(project: Path) -> None:
    with dev(project) as running:
        running.fetch("POST", "/postMessage", '{"author": "Ada", "body": "hi"}')
    assert "POST /postMessage" in _history(project)
    ran = pyconvex("run", "messages:by_author", '{"author": "Ada"}', folder=project)
    assert len(json.loads(ran.stdout)) == 1, ran.stderr


def _history(project: Path) -> str:
    ran = pyconvex("logs", "--history", "50", "--no-follow", folder=project)
    return ran.stdout + ran.stderr


def test_ctrl_c_is_quick_and_quiet_with_a_connection_open(project: Path) -> None:
    with dev(project) as running:
        with socket.create_connection(("127.0.0.1", running.site_port)) as idle:
            idle.sendall(b"GET /getMessagesByAuthor?author=x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(100)
            begun = time.monotonic()
            assert running.interrupt() == 130
            assert time.monotonic() - begun < 1.0
        assert "Traceback" not in running.said
