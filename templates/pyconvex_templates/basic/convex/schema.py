from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {
        "notes": define_table({"author": v.string(), "text": v.string()}).index("by_author", ["author"]),
    }
)
