"""A page of another origin: it chats over the official client and sends images through HTTP actions."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from support.dev import Dev, dev, pyconvex, wait_until
from support.gallery import GALLERY, elsewhere, gallery, picture
from support.npm import install
from support.tokens import Issuer

CLIENT = Path(__file__).parent.parent / "clients" / "convex-newest"
SCREENSHOTS = Path(os.environ.get("PYCONVEX_SCREENSHOTS", tempfile.gettempdir()))
ISSUER = Issuer()


@pytest.fixture
def page_folder(tmp_path: Path) -> Path:
    install(CLIENT)
    folder = shutil.copytree(GALLERY / "page", tmp_path / "page")
    shutil.copy(CLIENT / "node_modules" / "convex" / "dist" / "browser.bundle.js", folder / "convex.js")
    return folder


@pytest.fixture
def running(tmp_path: Path) -> Generator[Dev]:
    with dev(gallery(tmp_path / "gallery", ISSUER)) as running:
        yield running


def address(origin: str, running: Dev, author: str) -> str:
    said = {"api": f"http://127.0.0.1:{running.port}", "site": f"http://127.0.0.1:{running.site_port}"}
    return f"{origin}/?{urlencode({**said, 'author': author})}"


def shown(page: Page) -> list[str]:
    return page.get_by_label("Messages").get_by_role("listitem").all_inner_texts()


def is_drawn(page: Page, width: int) -> bool:
    """Both images of the only picture are there, in their size."""
    sizes = page.locator("img").evaluate_all("images => images.map((image) => image.naturalWidth)")
    return sizes == [width, width]


def test_two_pages_chat_and_send_pictures(
    page_folder: Path, running: Dev, open_page: Callable[[str], Page], tmp_path: Path
) -> None:
    (tmp_path / "small.png").write_bytes(picture(40, 30))
    (tmp_path / "large.png").write_bytes(picture(700, 500))
    with elsewhere(page_folder) as origin:
        assert pyconvex("env", "set", "CLIENT_ORIGIN", origin, folder=running.folder).exit_code == 0
        ada, bob = (open_page(address(origin, running, author)) for author in ("Ada", "Bob"))
        ada.get_by_label("Message", exact=True).fill("look at this")
        ada.get_by_role("button", name="Send").click()
        wait_until(lambda: shown(bob) == ["Ada: look at this"], "the message is there")

        ada.get_by_label("Through the HTTP action").set_input_files(tmp_path / "small.png")
        expect(ada.get_by_role("status")).to_have_text("action: 200")
        for page in (ada, bob):
            wait_until(lambda page=page: is_drawn(page, 40), "the picture is drawn")
        bob.screenshot(path=SCREENSHOTS / "pyconvex-gallery.png")
        ada.get_by_role("button", name="Remove my images").click()
        expect(ada.get_by_role("status")).to_have_text("removed 1")
        wait_until(lambda: shown(bob) == ["Ada: look at this"], "the picture is gone")

        bob.get_by_label("Through an upload URL").set_input_files(tmp_path / "large.png")
        expect(bob.get_by_role("status")).to_have_text("url: 200")
        wait_until(lambda: is_drawn(ada, 700), "the picture is drawn")


def test_what_a_browser_lets_through(page_folder: Path, running: Dev, open_page: Callable[[str], Page]) -> None:
    """Tokens go across origins after a preflight; a page of an origin that nobody named is kept out by the browser."""
    with elsewhere(page_folder) as origin, elsewhere(page_folder) as stranger:
        assert pyconvex("env", "set", "CLIENT_ORIGIN", origin, folder=running.folder).exit_code == 0
        site = f"http://127.0.0.1:{running.site_port}"
        page = open_page(address(origin, running, "Ada"))
        assert _asked(page, f"{site}/whoAmI", ISSUER.token(name="Ada")) == '200 {"name":"Ada"}'
        assert _asked(page, f"{site}/whoAmI", ISSUER.token(exp=1)).startswith("401 unknown: ")
        assert _asked(page, f"{site}/getMessagesByAuthor?author=Ada", "x") == "TypeError", "it has no OPTIONS route"
        other = open_page(address(stranger, running, "Eve"))
        assert _asked(other, f"{site}/whoAmI", ISSUER.token(name="Eve")) == "TypeError"


def _asked(page: Page, url: str, token: str) -> str:
    return page.evaluate(
        """async ([url, token]) => {
            try {
                const reply = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
                return `${reply.status} ${await reply.text()}`;
            } catch (error) {
                return error.name;
            }
        }""",
        [url, token],
    )
