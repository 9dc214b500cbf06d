"""Syntax errors of a user's file, said so that the fix is plain."""

import re

from pyconvex.errors import Place, Problem

_HINTS: tuple[tuple[str, str], ...] = (
    (r"^'([(\[{])' was never closed", "close the {bracket} that opens here"),
    (r"^closing parenthesis '(.)' does not match opening parenthesis '(.)'", "close with the bracket that was opened"),
    (r"^unmatched '(.)'", "remove this bracket, or open it before"),
    (r"^expected ':'", "end this line with `:`"),
    (r"^unterminated (triple-quoted )?f?-?string", "close the quotes"),
    (r"^expected an indented block", "indent the body, or write `...` for now"),
    (r"^unexpected indent", "line it up with the code around it"),
    (r"^unindent does not match", "line it up with the block it belongs to"),
    (r"^inconsistent use of tabs", "indent with spaces only"),
    (r"^'(await|async with|async for)' outside async function", "make the function around it `async def`"),
    (r"^asynchronous comprehension outside", "make the function around it `async def`"),
    (r"^'await' outside function", "modules load without an event loop: await inside a function"),
    (r"^'return' outside function", "indent it into the function it belongs to"),
    (r"^Missing parentheses in call to 'print'", "write `print(...)`"),
    (r"^invalid syntax\. Perhaps you forgot a comma", "put a comma between the two"),
    (r"^invalid syntax\. Maybe you meant '==' or ':=' instead of '='", "compare with `==`"),
    (r"^positional argument follows keyword argument", "put the positional argument first"),
    (r"^invalid non-printable character", "delete the invisible character and type the space again"),
    (r"^invalid character", "replace it with its plain ASCII form"),
    (r"^expected 'except' or 'finally' block", "end the `try` with `except ...:` or `finally:`"),
    (r"^source code string cannot contain null bytes", "save the file again as UTF-8 text"),
    (r"^leading zeros in decimal integer", "drop the leading zeros, or write `0o` for octal"),
    (r"^duplicate argument", "rename one of the two"),
)
_BRACKETS = {"(": "parenthesis", "[": "bracket", "{": "brace"}
_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7})(?:\s|$)")


def syntax_problem(error: SyntaxError | ValueError | UnicodeDecodeError, file: str, text: str | None) -> Problem:
    """What Python's parser, compiler or decoder found in `file`, with its fix where one is known.

    Args:
        file: as it is to be shown, relative to the project.
        text: the source, or None when it could not even be decoded.
    """
    if text is None:
        return Problem(
            "NotUtf8",
            "this file is not UTF-8 text",
            place=Place(file, 1),
            hint="save it as UTF-8, or name its encoding on the first line: `# -*- coding: latin-1 -*-`",
        )
    if not isinstance(error, SyntaxError):
        return Problem("SyntaxError", str(error), place=Place(file, 1), hint=_hint(str(error)))
    line = error.lineno or 1
    conflict = _conflict_line(text)
    if conflict is not None:
        return Problem(
            "MergeConflict",
            "a merge conflict was left in this file",
            place=Place(file, conflict, 1),
            hint="keep one of the two versions and delete the `<<<<<<<`, `=======` and `>>>>>>>` lines",
        )
    column = error.offset if error.offset and error.offset > 0 else None
    return Problem("SyntaxError", error.msg, place=Place(file, line, column), hint=_hint(error.msg))


def _hint(message: str) -> str | None:
    for pattern, hint in _HINTS:
        match = re.match(pattern, message)
        if match is not None:
            return hint.format(bracket=_BRACKETS.get(match[1], "bracket")) if "{bracket}" in hint else hint
    return None


def _conflict_line(text: str) -> int | None:
    lines = text.splitlines()
    marked = [number for number, line in enumerate(lines, 1) if _CONFLICT.match(line)]
    return marked[0] if len(marked) >= 3 else None
