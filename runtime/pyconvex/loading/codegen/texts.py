"""All texts of `_generated/`. No function that is served needs them, so they are not made before that."""

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pyconvex.functions.function import Function
from pyconvex.schema import Schema

from .data_model import data_model_text
from .generated import api_stub, api_text, server_text
from .server_stub import schema_description, server_stub
from .typescript_api import ApiDeclarations, api_js
from .typescript_data_model import data_model_declarations


class _TableTexts(NamedTuple):
    """The files that are made from the schema, and all of the schema that they say."""

    described: str
    texts: Mapping[str, str]


class GeneratedTexts:
    """The texts by file name, made for one version after the other; what did not change is not made again."""

    def __init__(self) -> None:
        self._stub: tuple[object, str] = (None, "")
        self._tables = _TableTexts("", MappingProxyType({}))
        self._declarations = ApiDeclarations()
        self._lock = threading.Lock()

    def of(self, functions: Mapping[str, Function], schema: Schema) -> Mapping[str, str]:
        """The texts of a version that can be served."""
        with self._lock:
            tables = self._tables_of(schema)
            texts = {
                "api.py": api_text(),
                "api.pyi": self._stub_of(functions),
                "server.py": server_text(),
                "api.js": api_js(),
                "api.d.ts": self._declarations.text(functions, schema, tables.described),
            }
            return MappingProxyType({**texts, **tables.texts})

    def of_tables(self, schema: Schema) -> Mapping[str, str]:
        """The texts that come from the schema alone."""
        with self._lock:
            return self._tables_of(schema).texts

    def _stub_of(self, functions: Mapping[str, Function]) -> str:
        key = [(path, function.visibility) for path, function in functions.items()]
        if self._stub[0] != key:
            self._stub = key, api_stub(functions)
        return self._stub[1]

    def _tables_of(self, schema: Schema) -> _TableTexts:
        described = schema_description(schema)
        if self._tables.described != described:
            texts = {
                "data_model.py": data_model_text(schema),
                "server.pyi": server_stub(schema),
                "dataModel.d.ts": data_model_declarations(schema),
            }
            self._tables = _TableTexts(described, texts)
        return self._tables
