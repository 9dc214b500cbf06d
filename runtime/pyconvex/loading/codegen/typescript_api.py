"""The texts of `_generated/api.js` and `api.d.ts`: references to functions for the official `convex` client.

https://docs.convex.dev/generated-api/api
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc

from pyconvex.functions.function import Function, Kind, Visibility
from pyconvex.functions.references import camel
from pyconvex.loading.codegen.generated import MARK_JS, notice
from pyconvex.loading.codegen.typescript_types import TypeScriptTypes, key, typescript_file
from pyconvex.schema import Schema
from pyconvex.values.validators import Validator

_LINE_LENGTH = 110
_INDENT = "  "

_ABOUT = "References to the functions of this project, with their arguments and results."
_API = "The public functions, for clients: `useQuery(api.messages.list, {})`."
_INTERNAL = "The internal functions, which only functions and the deployment's admin can call."


def api_js() -> str:
    """`api.js`: the same for every project, since references are paths that are looked up when called."""
    return (
        f"{MARK_JS}{notice()}\n/* eslint-disable */\n\n"
        'import { anyApi } from "convex/server";\n\n'
        "export const api = anyApi;\nexport const internal = anyApi;\n"
    )


class ApiDeclarations:
    """`api.d.ts`, made again and again.

    Names of modules and functions are written in camelCase, to which they answer as to Python's own. The types come
    from the validators; a function whose result promises nothing returns `any`.
    """

    def __init__(self) -> None:
        self._schema = ""
        self._types = TypeScriptTypes(Schema({}))
        self._known: dict[str, _Reference] = {}
        self._text = ""

    def text(self, functions: Mapping[str, Function], schema: Schema, described: str) -> str:
        """The file for these functions.

        Args:
            described: all of `schema` that matters. While it is the same, what did not change is not made again.
        """
        if described != self._schema:
            self._schema, self._types, self._known = described, TypeScriptTypes(schema), {}
        before = self._known
        self._known = {path: self._reference(function) for path, function in functions.items()}
        if not self._text or before != self._known:
            self._text = self._file(functions)
        return self._text

    def _reference(self, function: Function) -> "_Reference":
        known = self._known.get(function.path)
        return known if known is not None and known.describes(function) else _Reference.of(function, self._types)

    def _file(self, functions: Mapping[str, Function]) -> str:
        body = "\n".join(
            f"/** {about} */\nexport declare const {name}: {self._tree(functions, is_public).text('')};\n"
            for name, about, is_public in (("api", _API, True), ("internal", _INTERNAL, False))
        )
        local = {"./dataModel.js": ("Doc", "Id")}
        return typescript_file(_ABOUT, body, local, "the modules of this folder")

    def _tree(self, functions: Mapping[str, Function], is_public: bool) -> "_Node":
        root = _Node()
        for path, function in functions.items():
            if function.is_public is is_public:
                reference = self._known[path]
                node = root
                for part in reference.modules:
                    node = node.below.setdefault(part, _Node())
                node.functions[reference.name] = reference.text
        return root


@dataclass(frozen=True, slots=True)
class _Reference:
    """One function as a member of its module's type, and what that was made from."""

    args: Validator | None = field(compare=False)
    returns: Validator | None = field(compare=False)
    about: str | None
    kind: Kind
    visibility: Visibility
    modules: tuple[str, ...]
    name: str
    text: str

    @classmethod
    def of(cls, function: Function, types: TypeScriptTypes) -> "_Reference":
        module, _, name = camel(function.path).partition(":")
        modules = tuple(module.split("/"))
        returns = "any" if function.returns is None else types.of(function.returns)
        parts = (f'"{function.kind}"', f'"{function.visibility}"', types.arguments(function.args), returns)
        about = function.handler.__doc__
        text = _member(name, parts, about, _INDENT * (len(modules) + 1))
        return cls(function.args, function.returns, about, function.kind, function.visibility, modules, name, text)

    def describes(self, function: Function) -> bool:
        """Whether this is still what `function` is; its module may be a new one all the same."""
        return (
            self.args is function.args
            and self.returns is function.returns
            and self.kind is function.kind
            and self.visibility is function.visibility
            and self.about == function.handler.__doc__
        )


@dataclass(slots=True)
class _Node:
    """The functions of one module, as text, and the modules below it, by name."""

    functions: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    below: "dict[str, _Node]" = field(default_factory=lambda: dict[str, _Node]())

    def text(self, indent: str) -> str:
        deeper = indent + _INDENT
        members: list[str] = []
        for name in sorted({*self.functions, *self.below}):
            function, module = self.functions.get(name), self.below.get(name)
            modules = module.text(deeper) if module else ""
            if function is None:
                members.append(f"{deeper}{key(name)}: {modules};\n")
            else:  # `a:b` beside a module `a/b`
                members.append(f"{function}{f' & {modules}' if modules else ''};\n")
        return f"{{\n{''.join(members)}{indent}}}" if members else "{}"


def _member(name: str, parts: Sequence[str], about: str | None, indent: str) -> str:
    line = f"{indent}{key(name)}: FunctionReference<{', '.join(parts)}>"
    if len(line) >= _LINE_LENGTH:
        deeper = f",\n{indent}{_INDENT}".join(parts)
        line = f"{indent}{key(name)}: FunctionReference<\n{indent}{_INDENT}{deeper}\n{indent}>"
    return _comment(about, indent) + line


def _comment(docstring: str | None, indent: str) -> str:
    """A docstring as editors show it."""
    if not docstring or not docstring.strip():
        return ""
    text = cleandoc(docstring).strip().replace("*/", "*\\/")
    lines = text.encode("utf-8", "replace").decode().splitlines()
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return f"{indent}/**\n{''.join(f'{indent} * {line}'.rstrip() + chr(10) for line in lines)}{indent} */\n"
