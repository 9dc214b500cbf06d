"""Lines of actions are entries of their own: a filter finds them also where it leaves out the end of their action."""

from pathlib import Path

import pytest

from support.command import command

ACTIONS = """\
import logging

from ._generated.server import ActionCtx, action


@action
async def speaks(ctx: ActionCtx) -> None:
    print("about pears")
    logging.error("about apples")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/m.py").write_text(ACTIONS)
    assert command("run", "m:speaks", folder=folder).exit_code == 0
    return folder


@pytest.mark.parametrize(
    ("flags", "shown", "hidden"),
    [
        (("--grep", "pears"), "about pears", "nothing"),
        (("--level", "error"), "about apples", "about pears"),
        (("--function", "m:speaks"), "about pears", "nothing"),
    ],
)
def test_a_filter_finds_them(project: Path, flags: tuple[str, ...], shown: str, hidden: str) -> None:
    ran = command("logs", *flags, folder=project)
    assert ran.exit_code == 0
    assert shown in ran.stdout
    assert hidden not in ran.stdout + ran.stderr


def test_what_nobody_said_is_not_found(project: Path) -> None:
    assert command("logs", "--grep", "plums", folder=project).stderr == "nothing in the log matches\n"
