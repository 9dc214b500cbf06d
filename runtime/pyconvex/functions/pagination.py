"""The options and the result of `paginate`, for signatures of functions that hand out pages.

https://docs.convex.dev/database/pagination
"""

from typing import Final, Generic, Literal, NotRequired, TypedDict, TypeVar

from pyconvex.values import v
from pyconvex.values.containers import Object
from pyconvex.values.validator import Validator

T = TypeVar("T")


class PaginationOpts(TypedDict):
    """What a client asks of a page, with the names of the wire; as an annotation it validates that."""

    numItems: int
    """How many documents to begin with, 1 to 32,000. A page that runs again may have become larger or smaller."""
    cursor: str | None
    """`continueCursor` of the page before; None for the first page."""
    endCursor: NotRequired[str | None]
    """The page ends exactly there, however many documents that makes."""
    id: NotRequired[float]
    """Tells the paginated queries of one client apart."""
    maximumRowsRead: NotRequired[int]
    """The page ends after so many rows, those that a filter rejects included."""
    maximumBytesRead: NotRequired[int]
    """The page ends with the row that makes it so large."""


class PaginationResult(TypedDict, Generic[T]):
    """A page, with the names of the wire; as an annotation (`PaginationResult[Doc.messages]`) it validates that."""

    page: list[T]
    isDone: bool
    """Nothing is left behind this page."""
    continueCursor: str
    """`cursor` of the next page."""
    splitCursor: NotRequired[str | None]
    """The middle of the page: two pages, to it and from it, can take this one's place."""
    pageStatus: NotRequired[Literal["SplitRecommended", "SplitRequired", None]]
    """`SplitRequired` when a maximum cut the page short, `SplitRecommended` when it came near one."""


pagination_opts_validator: Final = v.object(
    {
        "numItems": v.number(),
        "cursor": v.union(v.string(), v.null()),
        "endCursor": v.optional(v.union(v.string(), v.null())),
        "id": v.optional(v.number()),
        "maximumRowsRead": v.optional(v.number()),
        "maximumBytesRead": v.optional(v.number()),
    }
)
"""Validates the options of `paginate`: `@query(args={"paginationOpts": pagination_opts_validator})`."""


def pagination_result_validator(item: Validator) -> Object:
    """Validates what `paginate` gives, for pages of `item`: `@query(returns=pagination_result_validator(v.any()))`."""
    return v.object(
        {
            "page": v.array(item),
            "isDone": v.boolean(),
            "continueCursor": v.string(),
            "splitCursor": v.optional(v.union(v.string(), v.null())),
            "pageStatus": v.optional(
                v.union(v.literal("SplitRecommended"), v.literal("SplitRequired"), v.null()),
            ),
        }
    )
