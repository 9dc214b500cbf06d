"""`pyconvex init`: scaffold a project, or add what a project lacks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from pyconvex.errors import StartFailed
from pyconvex_cli.console import console
from pyconvex_cli.gitignore import missing_lines
from pyconvex_cli.usage import WrongUsage, did_you_mean
from pyconvex_cli.wording import counted

if TYPE_CHECKING:
    from pyconvex_templates import Template


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The project's folder; created if need be. The default is this one.")
    ] = Path(),
    template: Annotated[
        str, typer.Option(metavar="NAME", help="What to start from: basic, messages or react.")
    ] = "messages",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Start a project that runs as it is, or add what one lacks. Existing files are left alone without --force."""
    chosen = _template(template)
    target = directory.resolve()
    if target.exists() and not target.is_dir():
        raise WrongUsage(f"{directory} is a file, so no project can be made there")
    files = chosen.files_for(project_name(target))
    plan = plan_of(files, target, force=force)
    try:
        plan.carry_out(target)
    except OSError as error:
        raise StartFailed("CannotWrite", f"cannot write {error.filename}: {error.strerror}") from None
    _report(plan, directory, template, has_front_end="package.json" in files)


def _template(name: str) -> "Template":
    from pyconvex_templates import templates

    known = templates()
    if name not in known:
        *others, last = known
        message = f"there is no template {name!r}; known are {', '.join(others)} and {last}"
        raise WrongUsage(message, hint=did_you_mean(name, known))
    return known[name]


def project_name(folder: Path) -> str:
    """A name that Python's packaging accepts (https://packaging.python.org/specifications/name-normalization)."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")
    return name or "app"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, what to leave alone, and what the user should know."""

    created: Mapping[str, str] = field(default_factory=dict[str, str])
    overwritten: Mapping[str, str] = field(default_factory=dict[str, str])
    kept: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    """Lines to add to an existing .gitignore."""

    def carry_out(self, target: Path) -> None:
        """Writes the files. Raises `OSError`."""
        for name, text in (*self.created.items(), *self.overwritten.items()):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        if self.ignored:
            path = target / ".gitignore"
            text = path.read_text(encoding="utf-8")
            gap = "" if text.endswith("\n") or not text else "\n"
            path.write_text(text + gap + "\n".join(self.ignored) + "\n", encoding="utf-8", newline="\n")


def plan_of(files: Mapping[str, str], target: Path, *, force: bool) -> Plan:
    """How `files` get into folder `target`. Nothing that exists is overwritten without `force`.

    Where the user has functions of their own, the template's functions and tests stay out: they would not fit.
    """
    existing = {name for name in files if (target / name).exists()}
    if force:
        return Plan(
            created={name: text for name, text in files.items() if name not in existing},
            overwritten={name: text for name, text in files.items() if name in existing},
        )
    own_functions = _has_functions_of_its_own(files, target)
    left_out = [name for name in files if own_functions and PurePosixPath(name).parts[0] in ("convex", "tests")]
    created = {name: text for name, text in files.items() if name not in existing and name not in left_out}
    gitignore = target / ".gitignore"
    ignored = missing_lines(gitignore, files[".gitignore"].splitlines()) if ".gitignore" in existing else []
    return Plan(
        created=created,
        kept=tuple(sorted(existing - set(left_out) - ({".gitignore"} if ignored else set()))),
        left_out=tuple(left_out),
        ignored=tuple(ignored),
    )


def _has_functions_of_its_own(files: Mapping[str, str], target: Path) -> bool:
    """Whether convex/ holds a module that this template did not put there just so."""
    for path in (target / "convex").rglob("*.py"):
        name = path.relative_to(target).as_posix()
        if "/_generated/" not in name and files.get(name) != path.read_text(encoding="utf-8", errors="replace"):
            return True
    return False


def _report(plan: Plan, directory: Path, template: str, *, has_front_end: bool) -> None:
    paint = console.err.paint
    written = len(plan.created) + len(plan.overwritten)
    where = "here" if directory == Path() else f"{directory}/"
    if plan.kept or plan.left_out or plan.ignored:
        for name in plan.created:
            console.say(f"  {paint('good', 'added')}    {name}")
        if plan.ignored:
            console.say(f"  {paint('good', 'extended')} .gitignore ({', '.join(plan.ignored)})")
        if plan.left_out:
            console.say(f"  {paint('muted', 'kept')}     convex/, which has functions of its own")
        for name in plan.kept:
            console.say(f"  {paint('muted', 'kept')}     {name}")
        if not written and not plan.ignored:
            console.say("  nothing was missing")
    else:
        what = "overwrote" if plan.overwritten and not plan.created else "created"
        console.say(f"  {paint('good', what)} {where} ({counted(written, 'file')}, template: {template})")
    steps = ["npm install", 'pyconvex dev --start "npm run dev"'] if has_front_end else ["pyconvex dev"]
    if directory != Path():
        steps.insert(0, f"cd {directory}")
    console.say(f"  {paint('muted', 'next:')}  {' && '.join(steps)}")
