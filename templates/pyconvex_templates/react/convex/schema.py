from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {
        "messages": define_table({"author": v.string(), "body": v.string()}),
    }
)
