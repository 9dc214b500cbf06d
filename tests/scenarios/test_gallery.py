"""The example that HTTP actions are made for, through curl: JSON, a prefix, images across origins, tokens."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Generator
from typing import Any

import pytest

from support.dev import Dev, dev, pyconvex
from support.gallery import gallery, picture
from support.tokens import Issuer

CLIENT = "https://client.test"
ISSUER = Issuer()
PICTURE = picture(40, 30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    project = gallery(tmp_path_factory.mktemp("gallery") / "gallery", ISSUER)
    with dev(project) as running:
        assert pyconvex("env", "set", "CLIENT_ORIGIN", CLIENT, folder=project).exit_code == 0
        yield running


class Curl:
    """One answer, as curl shows it with `-i`."""

    def __init__(self, running: Dev, path: str, *arguments: str, data: bytes | None = None) -> None:
        if shutil.which("curl") is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("curl is not installed")
        address = path if path.startswith("http") else f"http://127.0.0.1:{running.site_port}{path}"
        command = ["curl", "--silent", "--show-error", "--include", "--max-time", "30", *arguments, address]
        sent = [] if data is None else ["--data-binary", "@-"]
        said = subprocess.run([*command, *sent], input=data, capture_output=True, check=True).stdout
        head, _, self.body = said.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def header(name: str, value: str) -> tuple[str, str]:
    return "--header", f"{name}: {value}"


def test_a_message_is_posted_as_json_and_found_by_its_author(running: Dev) -> None:
    message = {"author": "Ada Lovelace", "body": "hällo"}
    posted = Curl(
        running, "/postMessage", *header("Content-Type", "application/json"), data=json.dumps(message).encode()
    )
    assert (posted.status, posted.body) == (200, b"")
    for path in ("/getMessagesByAuthor?author=Ada+Lovelace", "/getAuthorMessages/Ada%20Lovelace"):
        found = Curl(running, path)
        assert found.headers["content-type"] == "application/json"
        assert [each["body"] for each in found.json] == ["Sent via HTTP action: hällo"]
    assert Curl(running, "/getAuthorMessages").status == 404, "a prefix needs its slash"
    assert Curl(running, "/getAuthorMessages/nobody").json == []


def test_a_browser_may_ask_first(running: Dev) -> None:
    asked = (
        *header("Origin", CLIENT),
        *header("Access-Control-Request-Method", "POST"),
        *header("Access-Control-Request-Headers", "content-type,digest"),
    )
    answer = Curl(running, "/sendImage", "--request", "OPTIONS", *asked)
    assert answer.status == 200
    assert answer.body == b""
    assert answer.headers["access-control-allow-origin"] == CLIENT
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"] == "Content-Type, Digest, Authorization"
    assert answer.headers["access-control-max-age"] == "86400"
    assert answer.headers["vary"] == "origin"

    plain = Curl(running, "/sendImage", "--request", "OPTIONS")
    assert plain.status == 200
    assert "access-control-allow-origin" not in plain.headers


def test_an_image_goes_in_and_comes_out(running: Dev) -> None:
    digest = base64.b64encode(hashlib.sha256(PICTURE).digest()).decode()
    said = (*header("Content-Type", "image/png"), *header("Digest", f"sha-256={digest}"), *header("Origin", CLIENT))
    sent = Curl(running, "/sendImage?author=Ada", *said, data=PICTURE)
    assert sent.status == 200, sent.body
    assert sent.headers["access-control-allow-origin"] == CLIENT

    got = Curl(running, f"/getImage?storageId={sent.json['storageId']}")
    assert (got.status, got.headers["content-type"], got.body) == (200, "image/png", PICTURE)
    assert got.headers["content-length"] == str(len(PICTURE))

    shown = Curl(running, f"http://127.0.0.1:{running.port}/api/query?path=messages:latest&args=%7B%7D&format=json")
    address = next(each["url"] for each in shown.json["value"] if each["body"] == sent.json["storageId"])
    stored = Curl(running, address)
    assert (stored.status, stored.body) == (200, PICTURE)
    assert stored.headers["digest"] == f"sha-256={digest}"


def test_an_image_that_was_damaged_on_its_way_is_refused(running: Dev) -> None:
    digest = base64.b64encode(hashlib.sha256(b"something else").digest()).decode()
    said = (*header("Content-Type", "image/png"), *header("Digest", f"sha-256={digest}"))
    sent = Curl(running, "/sendImage?author=Mallory", *said, data=PICTURE)
    assert sent.status == 500
    assert "Sha256 mismatch" in sent.json["code"]
    assert Curl(running, "/getMessagesByAuthor?author=Mallory").json == []


def test_an_image_that_is_not_there(running: Dev) -> None:
    sent = Curl(running, "/sendImage?author=Bob", *header("Content-Type", "image/png"), data=PICTURE)
    body = json.dumps({"path": "messages:remove_images", "args": {"author": "Bob"}, "format": "json"}).encode()
    api = f"http://127.0.0.1:{running.port}/api/mutation"
    removed = Curl(running, api, *header("Content-Type", "application/json"), data=body)
    assert removed.json["value"] == 1
    gone = Curl(running, f"/getImage?storageId={sent.json['storageId']}")
    assert (gone.status, gone.body) == (404, b"Image not found")


@pytest.mark.parametrize(
    ("authorization", "status", "body"),
    [
        (None, 200, '{"name":"nobody"}'),
        (f"Bearer {ISSUER.token(name='Ada')}", 200, '{"name":"Ada"}'),
        (f"Bearer {ISSUER.token(name='Ada', exp=1)}", 401, "Token expired"),
        (f"Bearer {ISSUER.token(name='Ada', aud='someone else')}", 401, "unknown: "),
        ("Basic YWRhOnB3", 401, "unknown: "),
    ],
    ids=["none", "valid", "expired", "for another app", "not a token"],
)
def test_a_token_says_who_asks(running: Dev, authorization: str | None, status: int, body: str) -> None:
    said = () if authorization is None else header("Authorization", authorization)
    answer = Curl(running, "/whoAmI", *said)
    assert answer.status == status
    assert body in answer.body.decode()
