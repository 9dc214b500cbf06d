"""TypeScript types of validators, names in TypeScript, and that nothing is made again that has not changed."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.open_object import OpenObject
from pyconvex.functions.references import camel, snake
from pyconvex.loading.codegen.typescript_api import api_js
from pyconvex.loading.codegen.typescript_data_model import data_model_declarations
from pyconvex.loading.codegen.typescript_types import TypeScriptTypes
from pyconvex.schema import EMPTY_SCHEMA, define_schema, define_table
from pyconvex.server import pagination_opts_validator
from pyconvex.values import Int64, v
from pyconvex.values.validators import Validator
from support.folder import FunctionsFolder

SCHEMA = define_schema(
    {
        "users": define_table({"name": v.string(), "email": v.optional(v.string())}),
        "events": define_table(v.union(v.object({"a": v.string()}), v.object({"b": v.id("users")}))),
        "anything": define_table(v.any()),
    }
)
USER = {"_id": v.id("users"), "_creationTime": v.number(), "name": v.string(), "email": v.optional(v.string())}


def page(**fields: Validator) -> Validator:
    return v.object(
        {
            "page": v.array(v.object(USER)),
            "isDone": v.boolean(),
            "continueCursor": v.string(),
            "splitCursor": v.optional(v.union(v.string(), v.null())),
            "pageStatus": v.optional(v.union(v.literal("SplitRecommended"), v.literal("SplitRequired"), v.null())),
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("validator", "text"),
    [
        (v.string(), "string"),
        (v.number(), "number"),
        (v.int64(), "bigint"),
        (v.boolean(), "boolean"),
        (v.bytes(), "ArrayBuffer"),
        (v.null(), "null"),
        (v.any(), "any"),
        (v.id("users"), 'Id<"users">'),
        (v.id("_storage"), 'Id<"_storage">'),
        (v.id("nowhere"), 'GenericId<"nowhere">'),
        (v.literal("it's \"this\"\n"), '"it\'s \\"this\\"\\n"'),
        (v.literal("\ud800"), '"\\ud800"'),
        (v.literal(2.0), "2"),
        (v.literal(-0.0), "0"),
        (v.literal(-1.5), "-1.5"),
        (v.literal(1e300), str(int(1e300))),
        (v.literal(True), "true"),
        (v.literal(Int64(-5)), "-5n"),
        (v.array(v.union(v.string(), v.null())), "Array<string | null>"),
        (v.record(v.id("users"), v.number()), 'Record<Id<"users">, number>'),
        (v.union(), "never"),
        (v.union(v.string(), v.any()), "any"),
        (v.union(v.string(), v.union(v.null(), v.literal(1)), v.string()), "1 | string | null"),
        (v.object({}), "Record<string, never>"),
        (v.object({"a": v.string(), "b": v.optional(v.null())}), "{ a: string; b?: null }"),
        (v.object({"new": v.null(), "a-b": v.null(), "1": v.null()}), '{ new: null; "a-b": null; "1": null }'),
        (v.object(USER), 'Doc<"users">'),
        (v.array(v.union(v.object(USER), v.null())), 'Array<Doc<"users"> | null>'),
        (v.object({"_id": v.id("users"), "name": v.string()}), '{ _id: Id<"users">; name: string }'),
        (v.record(v.string(), v.any()), "Record<string, any>"),
        (pagination_opts_validator, "PaginationOptions"),
        (page(), 'PaginationResult<Doc<"users">>'),
        (page(page=v.array(v.any())), "PaginationResult<any>"),
        (OpenObject({}, v.any(), "ctx"), "{ [further: string]: any }"),
        (
            OpenObject({"a": v.optional(v.string())}, v.number(), "ctx"),
            "{ a?: string; [further: string]: number | string | undefined }",
        ),
    ],
)  # fmt: skip
def test_the_type_of_what_a_validator_accepts(validator: Validator, text: str) -> None:
    assert TypeScriptTypes(SCHEMA).of(validator) == text


def test_another_page_is_told_in_full() -> None:
    text = TypeScriptTypes(SCHEMA).of(page(more=v.null()))
    assert text.startswith('{ page: Array<Doc<"users">>; isDone: boolean;')


def test_documents_of_a_union_have_one_name() -> None:
    members = [
        v.object({"_id": v.id("events"), "_creationTime": v.number(), **fields})
        for fields in ({"a": v.string()}, {"b": v.id("users")})
    ]
    types = TypeScriptTypes(SCHEMA)
    assert types.of(v.union(*members)) == 'Doc<"events">'
    assert types.of(members[0]) == '{ _id: Id<"events">; _creationTime: number; a: string }'


def test_tables_beyond_the_schema_are_allowed_where_it_says_so() -> None:
    tables = {"users": define_table({})}
    assert "};\n\n/** The names" in data_model_declarations(define_schema(tables))
    assert "} & AnyDataModel;\n" in data_model_declarations(define_schema(tables, strict_table_name_types=False))
    assert "DataModel = AnyDataModel;" in data_model_declarations(EMPTY_SCHEMA)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)


@given(st.lists(names, min_size=2, max_size=4))
def test_the_spelling_that_is_offered_is_answered(parts: list[str]) -> None:
    path = f"{'/'.join(parts[:-1])}:{parts[-1]}"
    assert snake(camel(path)) == snake(path)


QUERY = """\
from pyconvex.server import internal_query, query


@query
async def {name}(ctx, a: {type}) -> str:
    {doc}
"""


@pytest.fixture
def folder(tmp_path: Path) -> FunctionsFolder:
    return FunctionsFolder(tmp_path)


def declared(folder: FunctionsFolder, name: str = "api.d.ts") -> str:
    return folder.load().generated[name]


def test_what_a_save_changes_is_in_the_next_text(folder: FunctionsFolder) -> None:
    folder.write("a.py", QUERY.format(name="f", type="str", doc='"""What it does."""'))
    first = declared(folder)
    assert '/** What it does. */\n    f: FunctionReference<"query", "public", { a: string }, string>;' in first
    assert declared(folder) is first
    folder.write("a.py", QUERY.format(name="f", type="float", doc='"""Now this */ and that."""'))
    assert (
        '/** Now this *\\/ and that. */\n    f: FunctionReference<"query", "public", { a: number }, string>;'
        in declared(folder)
    )
    folder.write("a.py", QUERY.format(name="g", type="float", doc="pass"))
    assert "f: " not in declared(folder)
    assert 'g: FunctionReference<"query", "public", { a: number }, string>;' in declared(folder)
    folder.write("a.py", QUERY.replace("@query", "@internal_query").format(name="g", type="float", doc="pass"))
    assert "api: {};" in declared(folder)
    assert 'g: FunctionReference<"query", "internal", { a: number }, string>;' in declared(folder)


def test_a_new_table_gives_its_documents_their_name(folder: FunctionsFolder) -> None:
    folder.write(
        "a.py",
        "from typing import TypedDict\n\n"
        + QUERY.format(name="f", type="'D'", doc="pass")
        + "\n\nclass D(TypedDict):\n    _id: str\n",
    )
    assert "a: { _id: string }" in declared(folder)
    schema = (
        "from pyconvex.server import define_schema, define_table\n\ndefault = define_schema({'t': define_table({})})\n"
    )
    folder.write("schema.py", schema)
    folder.write("a.py", "from ._generated.data_model import Doc\n" + QUERY.format(name="f", type="Doc.t", doc="pass"))
    text = declared(folder)
    assert 'a: Doc<"t">' in text
    assert 'import type { Doc } from "./dataModel.js";' in text
    folder.write("schema.py", schema.replace("'t'", "'u'"))
    folder.write("a.py", "from ._generated.data_model import Doc\n" + QUERY.format(name="f", type="Doc.u", doc="pass"))
    assert 'a: Doc<"u">' in declared(folder)


def test_a_function_and_a_module_of_one_name(folder: FunctionsFolder) -> None:
    folder.write("admin.py", QUERY.format(name="dailyReports", type="str", doc="pass"))
    folder.write("admin/daily_reports.py", QUERY.format(name="default", type="str", doc="pass"))
    found = re.search(r"dailyReports: FunctionReference<[^>]*> & \{\n +default: FunctionReference<", declared(folder))
    assert found, declared(folder)


def test_a_text_that_cannot_be_encoded_breaks_nothing(folder: FunctionsFolder) -> None:
    # Not as a literal, which newer Pythons do not compile.
    folder.write(
        "a.py",
        """
        from pyconvex.server import query

        async def f(ctx, a: str) -> str: ...

        f.__doc__ = "\\ud800 and\\n\\n  more"
        f = query(f)
        """,
    )
    text = declared(folder)
    assert "     * ? and\n     *\n     * more\n     */\n" in text
    text.encode()


def test_the_javascript_is_the_same_everywhere(folder: FunctionsFolder) -> None:
    folder.write("a.py", QUERY.format(name="f", type="str", doc="pass"))
    assert declared(folder, "api.js") == api_js()
    assert 'import { anyApi } from "convex/server";' in api_js()
