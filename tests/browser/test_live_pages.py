"""The template `react` as people see it: two windows of a real browser, live over functions in Python."""

import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from support.dev import Dev, dev, init, wait_until
from support.npm import install, node_environment, npm
from support.ports import free_port

PACKAGES = Path(__file__).parent.parent / "typescript"
"""The packages of the template are installed there."""
SCREENSHOTS = Path(os.environ.get("PYCONVEX_SCREENSHOTS", tempfile.gettempdir()))

pytestmark = pytest.mark.xdist_group("typescript")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    install(PACKAGES, optional=True)
    project = init(tmp_path / "chat", "react")
    (project / "node_modules").symlink_to(PACKAGES / "node_modules")
    return project


def say(page: Page, body: str) -> None:
    page.get_by_label("Message").fill(body)
    page.get_by_role("button", name="Send").click()


def shown(page: Page) -> Any:
    return expect(page.locator("article p"))


def test_two_windows_live_over_one_deployment(project: Path, open_page: Callable[[str], Page]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    start = shlex.join([*npm(), "run", "dev", "--", "--host", "127.0.0.1", "--port", str(port), "--strictPort"])
    with dev(project, "--start", start, environment=node_environment()) as running:
        wait_until(lambda: f"127.0.0.1:{port}" in running.said, "Vite is ready")
        ada, bob = open_page(url), open_page(url)
        for page, name in ((ada, "Ada"), (bob, "Bob")):
            page.get_by_label("Your name").fill(name)
            expect(page.get_by_role("status")).to_have_text("live")
            page.evaluate("window.sameSinceThen = true")

        say(ada, "hello")
        shown(bob).to_have_text(["hello"])
        say(bob, "hello yourself")
        shown(ada).to_have_text(["hello", "hello yourself"])
        say(ada, "x" * 501)
        expect(ada.get_by_role("alert")).to_contain_text("at most 500 characters")
        bob.screenshot(path=SCREENSHOTS / "pyconvex-react.png")

        edit(project / "convex/messages.py", "return newest_first[::-1]", "return newest_first")
        for page in (ada, bob):
            shown(page).to_have_text(["hello yourself", "hello"])

        edit(project / "convex/messages.py", "return newest_first", 'raise ValueError("on purpose")')
        expect(bob.get_by_role("alert")).to_contain_text("on purpose")
        edit(project / "convex/messages.py", 'raise ValueError("on purpose")', "return newest_first[:1]")
        for page in (ada, bob):
            shown(page).to_have_text(["hello yourself"])
            assert page.evaluate("window.sameSinceThen"), "the page was loaded again"
        assert across_origins(bob, running) == {"status": "success", "value": ["hello yourself"]}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def across_origins(page: Page, running: Dev) -> object:
    """What a script of the page gets from the HTTP API, which is on another origin."""
    return page.evaluate(
        """async (address) => {
            const headers = { "content-type": "application/json", "convex-client": "npm-1.48.0" };
            const body = JSON.stringify({ path: "messages:latest", args: {}, format: "json" });
            const { status, value } = await (await fetch(address, { method: "POST", headers, body })).json();
            return { status, value: value.map((message) => message.body) };
        }""",
        f"http://127.0.0.1:{running.port}/api/query",
    )
