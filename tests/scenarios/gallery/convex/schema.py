from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {
        "messages": define_table(
            v.union(
                v.object({"format": v.literal("text"), "author": v.string(), "body": v.string()}),
                v.object({"format": v.literal("image"), "author": v.string(), "body": v.id("_storage")}),
            )
        ).index("by_author", ["author"]),
    }
)
