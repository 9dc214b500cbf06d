"""The text of `_generated/server.pyi`: `ctx` and the decorators, typed to a project's tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pyconvex.indexes import SearchIndexDefinition, VectorIndexDefinition
from pyconvex.loading.codegen.generated import DATA_MODEL_NAMES, header, server_text
from pyconvex.loading.codegen.python_types import field_paths, imports_for, member_names, operand_type, quoted
from pyconvex.schema import Schema, TableDefinition

S = TypeVar("S", SearchIndexDefinition, VectorIndexDefinition)

_LINE_LENGTH = 160


def server_stub(schema: Schema) -> str:
    """`server.pyi`: the queries of each table, the databases, the contexts, the decorators.

    Without tables it says what `server.py` says: ids are `str`, documents `dict[str, Any]`.
    """
    members = member_names(name for name in schema.tables if name.isidentifier())
    if not members:
        return server_text()
    tables = [_Table(name, schema.tables[name], members) for name in sorted(members)]
    database = _Database(tables, strict=schema.strict_table_name_types)
    queries = "".join(table.text() for table in tables)
    body = f"{queries}{database.reader()}{database.writer()}{_CONTEXTS}{_action_ctx(tables)}{_DECORATORS}"
    return f"{header('schema.py')}{_ABOUT}{imports_for(body, {'.data_model': DATA_MODEL_NAMES})}{body}"


def schema_description(schema: Schema) -> str:
    """All of a schema that generated texts depend on."""
    tables = [
        (name, str(table.validator), [(type(index).__name__, index.staged, index.json()) for index in table.declared])
        for name, table in schema.tables.items()
    ]
    return f"{schema.strict_table_name_types} {tables}"


# "basic": what strict adds compares every overload with every other one, seconds for a large schema.
# "misc": mypy wants to be told which classes are abstract.
_LENIENT = '# pyright: basic\n# mypy: disable-error-code="misc"\n'
_ABOUT = f'{_LENIENT}"""The decorators of functions, and the types of what they get as `ctx`."""\n\n'

_CONTEXTS = '''

class QueryCtx(ReadingCtx[DatabaseReader], Protocol):
    """`ctx` of a query: one snapshot of the database."""


class MutationCtx(WritingCtx[DatabaseWriter], Protocol):
    """`ctx` of a mutation: one transaction."""
'''

_DECORATORS = """

query: Decorator[QueryCtx]
mutation: Decorator[MutationCtx]
action: Decorator[ActionCtx]
internal_query: Decorator[QueryCtx]
internal_mutation: Decorator[MutationCtx]
internal_action: Decorator[ActionCtx]

def http_action(
    handler: Callable[[ActionCtx, Request], Awaitable[Response]], /
) -> AsyncFunction[[Request], Response]: ...
"""


class _Table:
    """One table, and what the stub calls that belongs to it."""

    def __init__(self, name: str, definition: TableDefinition, members: Mapping[str, str]) -> None:
        self.definition = definition
        self.literal = f"Literal[{quoted(name)}]"
        self.id = f"Id.{members[name]}"
        self.doc = f"Doc.{members[name]}"
        self.fields = f"Fields.{members[name]}"
        self.patch = f"Patch.{members[name]}"
        self.replacement = f"{self.fields} | {self.doc}"
        self.query = f"_query_{name}"
        self._ordered = f"_indexed_{name}"
        self._field = f"_field_{name}"
        self._members = members

    @property
    def reader(self) -> str:
        return f"TableReader[{self.id}, {self.doc}, {self.query}]"

    @property
    def writer(self) -> str:
        return f"TableWriter[{self.id}, {self.doc}, {self.query}, {self.fields}, {self.replacement}, {self.patch}]"

    def text(self) -> str:
        """The class of `ctx.db.query(table)`, whose indexes and fields are those of the table."""
        fields = dict.fromkeys(("_id", "_creationTime", *field_paths(self.definition.validator)))
        fields |= dict.fromkeys(field for index in self.definition.indexes for field in index.fields)
        classes, searches = self._searches()
        return (
            f"\n\n{self._field}: TypeAlias = {_literals(list(fields))}\n"
            f"{self._ordered}: TypeAlias = Query[{self.doc}, {self._field}]\n\n"
            f"class {self.query}({self._ordered}):\n"
            f"{classes}{_overloads(list(self._indexes()))}{_overloads(searches)}"
        )

    def vector_searches(self) -> Iterator[str]:
        """`ctx.vector_search`, once for each vector index."""
        for index in self._ready(self.definition.vector_indexes):
            value = self._filter_value(index.filter_fields)
            filtered = f"VectorFilter[{_literals(index.filter_fields) if index.filter_fields else 'Never'}, {value}]"
            yield _method(
                "vector_search",
                (
                    f"table: {self.literal}",
                    f"index: Literal[{quoted(index.name)}]",
                    "/",
                    "*",
                    "vector: Sequence[float]",
                    "limit: int = ...",
                    f"filter: Callable[[{filtered}], VectorCondition] | None = ...",
                ),
                f"Awaitable[list[VectorMatch[{self.id}]]]",
            )

    def _indexes(self) -> Iterator[str]:
        for index in sorted(self.definition.indexes, key=lambda index: index.name):
            if not index.staged:
                yield self._with_index(index.name, self._steps(index.fields))
        yield self._with_index("by_creation_time", "ByTime")
        yield self._with_index("by_id", f'Step[Literal["_id"], {self.id}, Range]')

    def _with_index(self, name: str, steps: str) -> str:
        parameters = (f"name: Literal[{quoted(name)}]", f"range: RangeOf[{steps}] = ...", "/")
        return _method("with_index", parameters, self._ordered)

    def _steps(self, fields: Sequence[str]) -> str:
        steps = "ByTime"
        for field in reversed(fields):
            steps = f"Step[Literal[{quoted(field)}], {self._operand(field)}, {steps}]"
        return steps

    def _searches(self) -> tuple[str, list[str]]:
        """The methods `with_search_index`, and the classes of searches that filter by fields of several types."""
        classes: list[str] = []
        methods: list[str] = []
        for index in self._ready(self.definition.search_indexes):
            filtered = "Search"
            if len({self._operand(field) for field in index.filter_fields}) > 1:
                filtered = f"_{index.name}"
                classes.append(self._filtered_search(filtered, index))
            elif index.filter_fields:
                value = self._filter_value(index.filter_fields)
                filtered = f"FilteredSearch[{_literals(index.filter_fields)}, {value}]"
            builder = f"SearchBuilder[Literal[{quoted(index.search_field)}], {filtered}]"
            parameters = (f"name: Literal[{quoted(index.name)}]", f"search: Callable[[{builder}], Search]", "/")
            methods.append(_method("with_search_index", parameters, f"OrderedQuery[{self.doc}, {self._field}]"))
        return "".join(classes), methods

    def _filtered_search(self, name: str, index: SearchIndexDefinition) -> str:
        methods = [
            _method("eq", (f"field: Literal[{quoted(field)}]", f"value: {self._operand(field)}", "/"), "Self")
            for field in index.filter_fields
        ]
        return _indented(f"class {name}(Search, Protocol):\n{_overloads(methods)}\n")

    def _filter_value(self, fields: Sequence[str]) -> str:
        return " | ".join(dict.fromkeys(self._operand(field) for field in fields)) or "Never"

    def _operand(self, field: str) -> str:
        return operand_type(self.definition.validator, field, self._members)

    @staticmethod
    def _ready(indexes: Sequence[S]) -> list[S]:
        """Those that can be queried, by name."""
        return sorted((index for index in indexes if not index.staged), key=lambda index: index.name)


class _Database:
    """`ctx.db`. When the schema is not `strict`, it takes other tables as well, whose documents are `Any`."""

    def __init__(self, tables: Sequence[_Table], *, strict: bool) -> None:
        self._tables = tables
        self._strict = strict

    def reader(self) -> str:
        about = "`ctx.db` of a query (https://docs.convex.dev/database/reading-data)."
        methods = (
            self._by_id("get", lambda table: f"{table.doc} | None"),
            self._by_table("query", lambda table: table.query),
            self._by_table("normalize_id", lambda table: f"{table.id} | None", "id: str"),
            self._by_table("table", lambda table: table.reader),
        )
        return f'\n\nclass DatabaseReader(ReadsSystem, Protocol):\n    """{about}"""\n{"".join(methods)}'

    def writer(self) -> str:
        about = "`ctx.db` of a mutation (https://docs.convex.dev/database/writing-data)."
        methods = (
            self._inserts(),
            self._by_id("patch", lambda _: "None", lambda table: table.patch),
            self._by_id("replace", lambda _: "None", lambda table: table.replacement),
            self._by_id("delete", lambda _: "None"),
            self._by_table("table", lambda table: table.writer),
        )
        return f'\n\nclass DatabaseWriter(DatabaseReader, Protocol):\n    """{about}"""\n{"".join(methods)}'

    def _by_id(self, name: str, result: Callable[[_Table], str], value: Callable[[_Table], str] | None = None) -> str:
        """A method that takes an id, with or without the table's name before it."""
        overloads: list[str] = []
        for table in self._tables:
            parameters = (f"id: {table.id}", *([f"value: {value(table)}"] if value else ()), "/")
            returned = f"Awaitable[{result(table)}]"
            overloads.append(_method(name, parameters, returned))
            overloads.append(_method(name, (f"table: {table.literal}", *parameters), returned))
        if not self._strict:
            parameters = ("id: str", *(["value: Mapping[str, Any]"] if value else ()), "/")
            overloads.append(_method(name, parameters, "Awaitable[Any]"))
            overloads.append(_method(name, ("table: str", *parameters), "Awaitable[Any]"))
        return _overloads(overloads)

    def _by_table(self, name: str, result: Callable[[_Table], str], *more: str) -> str:
        """A method that takes the table's name."""
        overloads = [_method(name, (f"table: {table.literal}", *more, "/"), result(table)) for table in self._tables]
        if not self._strict:
            overloads.append(_method(name, ("table: str", *more, "/"), "Any"))
        return _overloads(overloads)

    def _inserts(self) -> str:
        overloads = [
            _method("insert", (f"table: {table.literal}", f"value: {table.fields}", "/"), f"Awaitable[{table.id}]")
            for table in self._tables
        ]
        if not self._strict:
            overloads.append(_method("insert", ("table: str", "value: Mapping[str, Any]", "/"), "Awaitable[Any]"))
        return _overloads(overloads)


def _action_ctx(tables: Sequence[_Table]) -> str:
    about = "`ctx` of an action or HTTP action: no database, but everything that reaches outside."
    searches = _overloads([search for table in tables for search in table.vector_searches()])
    return f'\n\nclass ActionCtx(ActingCtx, Protocol):\n    """{about}"""\n{searches}'


def _method(name: str, parameters: Sequence[str], result: str) -> str:
    line = f"    def {name}(self, {', '.join(parameters)}) -> {result}: ...\n"
    if len(line) <= _LINE_LENGTH + 1:
        return line
    listed = "".join(f"        {parameter},\n" for parameter in ("self", *parameters))
    return f"    def {name}(\n{listed}    ) -> {result}: ...\n"


def _overloads(methods: Sequence[str]) -> str:
    return "".join(methods) if len(methods) == 1 else "".join(f"    @overload\n{method}" for method in methods)


def _literals(values: Sequence[str]) -> str:
    return f"Literal[{', '.join(map(quoted, values))}]"


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
