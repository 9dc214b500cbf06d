"""What the files in `_generated` are made of; people import those, `pyconvex.server` and `pyconvex.values`."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from .functions.context import (
    ActingCtx,
    Document,
    ReadingCtx,
    ReadsSystem,
    TableReader,
    TableWriter,
    VectorMatch,
    WritingCtx,
)
from .functions.decorators import Decorator
from .functions.documents import ScheduledFunctionId, StorageId, TableId
from .functions.function import AsyncFunction
from .functions.queries import (
    ByTime,
    FilteredSearch,
    OrderedQuery,
    Query,
    QueryInitializer,
    Range,
    RangeOf,
    Search,
    SearchBuilder,
    Step,
    VectorCondition,
    VectorFilter,
)
from .functions.references import FunctionReference

__all__ = [
    "ActingCtx",
    "AsyncFunction",
    "ByTime",
    "Decorator",
    "Document",
    "FilteredSearch",
    "OrderedQuery",
    "Query",
    "QueryInitializer",
    "Range",
    "RangeOf",
    "ReadingCtx",
    "ReadsSystem",
    "ScheduledFunctionId",
    "Search",
    "SearchBuilder",
    "Step",
    "StorageId",
    "TableId",
    "TableReader",
    "TableWriter",
    "VectorCondition",
    "VectorFilter",
    "VectorMatch",
    "WritingCtx",
    "reference",
]

P = ParamSpec("P")
T = TypeVar("T")


@overload
def reference(function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], /) -> FunctionReference[P, T]: ...
@overload
def reference(function: Callable[Concatenate[Any, P], T], /) -> FunctionReference[P, T]: ...
def reference(function: Callable[..., Any], /) -> FunctionReference[..., Any]:
    """The reference to `function` as `_generated/api.pyi` has it: its arguments, and what awaiting it gives."""
    raise NotImplementedError("references are made by `api` and `internal`")
