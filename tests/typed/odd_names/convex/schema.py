"""Tables and fields with names that mean something in Python, and a schema that does not know all tables."""

from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {
        "list": define_table({"items": v.array(v.string()), "keys": v.optional(v.string())}),
        "class": define_table({"list": v.id("list"), "str": v.string(), "Any": v.any()}).index("by_str", ["str"]),
        "class_": define_table({"deep": v.object({"not a name": v.string(), "__x": v.number()})}),
        "query": define_table({"update": v.boolean(), "values": v.record(v.string(), v.array(v.int64()))}),
    },
    strict_table_name_types=False,
)
