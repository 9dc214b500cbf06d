"""`pyconvex init`: new projects, existing projects, and nothing overwritten."""

import subprocess
from pathlib import Path

import pytest

from pyconvex_cli.commands.init import plan_of, project_name
from pyconvex_templates import templates
from support.command import command

FILES = {
    ".gitignore": ".env.local\n.pyconvex/\n",
    "README.md": "# app\n",
    "convex/http.py": "default = http\n",
    "convex/schema.py": "default = schema\n",
    "tests/test_app.py": "",
}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_an_empty_folder_gets_everything(tmp_path: Path) -> None:
    plan = plan_of(FILES, tmp_path, force=False)
    plan.carry_out(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(FILES)
    assert (plan.kept, plan.left_out, plan.overwritten) == ((), (), {})


def test_what_is_there_is_kept_and_what_is_missing_added(tmp_path: Path) -> None:
    put(tmp_path, {"README.md": "mine\n", "convex/schema.py": FILES["convex/schema.py"], ".gitignore": "dist/"})
    plan = plan_of(FILES, tmp_path, force=False)
    plan.carry_out(tmp_path)

    assert sorted(plan.created) == ["convex/http.py", "tests/test_app.py"]
    assert plan.kept == ("README.md", "convex/schema.py")
    assert (tmp_path / "README.md").read_text() == "mine\n"
    assert (tmp_path / ".gitignore").read_text() == "dist/\n.env.local\n.pyconvex/\n"


def test_functions_of_ones_own_are_not_mixed_with_the_templates(tmp_path: Path) -> None:
    put(tmp_path, {"convex/mine.py": "x = 1\n"})
    plan = plan_of(FILES, tmp_path, force=False)
    assert sorted(plan.created) == [".gitignore", "README.md"]
    assert plan.left_out == ("convex/http.py", "convex/schema.py", "tests/test_app.py")


def test_generated_files_are_nobodys_own_functions(tmp_path: Path) -> None:
    put(tmp_path, {"convex/_generated/api.py": "whatever"})
    assert sorted(plan_of(FILES, tmp_path, force=False).created) == sorted(FILES)


def test_force_overwrites(tmp_path: Path) -> None:
    put(tmp_path, {"README.md": "mine\n", "convex/mine.py": "x = 1\n"})
    plan = plan_of(FILES, tmp_path, force=True)
    plan.carry_out(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# app\n"
    assert (tmp_path / "convex/mine.py").read_text() == "x = 1\n"


@pytest.mark.parametrize(
    ("folder", "name"), [("chat", "chat"), ("My Chat!", "my-chat"), ("日本", "app"), ("a__b.c", "a-b-c")]
)
def test_project_names(folder: str, name: str) -> None:
    assert project_name(Path("/tmp") / folder) == name


def test_the_command(tmp_path: Path) -> None:
    count = len(templates()["messages"].files_for("chat"))
    ran = command("init", "chat", folder=tmp_path)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == f"  created chat/ ({count} files, template: messages)\n  next:  cd chat && pyconvex dev\n"
    assert 'name = "chat"' in (tmp_path / "chat/pyproject.toml").read_text()
    assert (tmp_path / "chat/README.md").read_text().startswith("# chat\n")

    again = command("init", folder=tmp_path / "chat")
    assert again.exit_code == 0
    assert again.stderr.splitlines()[0] == "  kept     .gitignore"
    assert again.stderr.splitlines()[-2:] == ["  nothing was missing", "  next:  pyconvex dev"]


def test_in_an_existing_project_the_command_says_what_it_did(tmp_path: Path) -> None:
    put(tmp_path, {"convex/mine.py": "x = 1\n", ".gitignore": "dist/\n", "pyproject.toml": "[project]\n"})
    ran = command("init", "--template", "basic", folder=tmp_path)
    assert ran.exit_code == 0
    assert ran.stderr == (
        "  added    README.md\n"
        "  extended .gitignore (.env.local, .pyconvex/, .venv/, __pycache__/, .pytest_cache/)\n"
        "  kept     convex/, which has functions of its own\n"
        "  kept     pyproject.toml\n"
        "  next:  pyconvex dev\n"
    )


def test_a_front_end_wants_its_packages_first(tmp_path: Path) -> None:
    ran = command("init", "chat", "--template", "react", folder=tmp_path)
    assert ran.stderr.endswith('  next:  cd chat && npm install && pyconvex dev --start "npm run dev"\n')
    assert '"name": "chat"' in (tmp_path / "chat/package.json").read_text()


def test_an_unknown_template_is_refused(tmp_path: Path) -> None:
    ran = command("init", "--template", "mesages", folder=tmp_path)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == "error: there is no template 'mesages'; known are basic, messages and react\nhint: did you mean messages?\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "chat").write_text("")
    ran = command("init", "chat", folder=tmp_path)
    assert (ran.exit_code, ran.stderr) == (2, "error: chat is a file, so no project can be made there\n")


def test_a_folder_that_cannot_be_written_exits_3(tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "convex").write_text("a file where a folder has to be")
    ran = command("init", "chat", folder=tmp_path)
    assert ran.exit_code == 3
    assert ran.stderr.startswith("error: cannot write ")


def test_what_git_must_not_see_is_ignored(tmp_path: Path) -> None:
    command("init", "chat", folder=tmp_path)
    folder = tmp_path / "chat"
    (folder / ".pyconvex").mkdir()
    (folder / ".pyconvex/admin_key").write_text("secret")
    (folder / ".env.local").write_text("A=1")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    seen = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert ".pyconvex" not in seen
    assert ".env.local" not in seen
    assert "convex/messages.py" in seen
