"""A headless Chromium, the one that is installed on the machine."""

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WAIT_MILLISECONDS = 30_000
expect.set_options(timeout=WAIT_MILLISECONDS)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Its path. Without one the test is skipped; where CI is set it fails: there nothing may go untested unnoticed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser here: none of {', '.join(NAMES)} is installed (on Debian: apt-get install chromium)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return found


@pytest.fixture
def browser(chromium: str) -> Generator[Browser]:
    """Freshly started, with a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Generator[Callable[[str], Page]]:
    """Opens an address as a visitor of its own; what its console says of errors fails the test at the end."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def visit(url: str) -> Page:
            page = stack.enter_context(browser.new_context()).new_page()
            page.set_default_timeout(WAIT_MILLISECONDS)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(url)
            return page

        yield visit
    assert complaints == []
