"""Every kind of table, field and index."""

from pyconvex.server import define_schema, define_table
from pyconvex.values import v

kinds = v.union(v.literal("plain"), v.literal("fancy"))

default = define_schema(
    {
        "users": define_table(
            {
                "name": v.string(),
                "email": v.optional(v.string()),
                "age": v.number(),
                "team": v.optional(v.id("teams")),
                "address": v.object({"city": v.string(), "zip": v.optional(v.string())}),
                "kind": kinds,
                "tags": v.array(v.string()),
            }
        )
        .index("by_name", ["name"])
        .index("by_team_and_age", ["team", "age"])
        .index("by_city", ["address.city"])
        .index("by_kind", ["kind"])
        .index("not_yet", ["tags"], staged=True)
        .search_index("search_name", search_field="name", filter_fields=["team", "kind"]),
        "teams": define_table({"title": v.string(), "logo": v.optional(v.id("_storage"))}).search_index(
            "search_title", search_field="title"
        ),
        "from": define_table({"class": v.string(), "import": v.optional(v.number())}).index("by_class", ["class"]),
        "events": define_table(
            v.union(
                v.object({"type": v.literal("joined"), "user": v.id("users")}),
                v.object({"type": v.literal("renamed"), "user": v.id("users"), "name": v.string()}),
            )
        )
        .index("by_user", ["user"])
        .index("by_renamed", ["name"])
        .search_index("search_new_name", search_field="name", filter_fields=["user"]),
        "anything": define_table(v.any()).index("by_x", ["x"]),
        "everything": define_table(
            {
                "bytes": v.bytes(),
                "whole": v.int64(),
                "flag": v.boolean(),
                "nothing": v.null(),
                "counts": v.record(v.string(), v.number()),
                "seen": v.record(v.id("users"), v.boolean()),
                "choice": v.union(v.literal("x"), v.literal(1), v.literal(True), v.null()),
                "deep": v.object({"deeper": v.array(v.object({"deepest": v.nullable(v.string())}))}),
                "metadata": v.any(),
                "job": v.optional(v.id("_scheduled_functions")),
                "items": v.array(v.number()),
                "values": v.optional(v.any()),
            }
        )
        .index("by_whole", ["whole"])
        .index("by_bytes", ["bytes"])
        .index("by_metadata", ["metadata.author"])
        .index("by_choice", ["choice", "counts.total"]),
        "foods": define_table(
            {"cuisine": v.string(), "stars": v.number(), "embedding": v.array(v.float64())}
        ).vector_index("by_embedding", vector_field="embedding", dimensions=3, filter_fields=["cuisine"]),
        "pictures": define_table({"embedding": v.array(v.float64())}).vector_index(
            "by_embedding", vector_field="embedding", dimensions=3
        ),
        "odd": define_table({"str": v.string(), "Any": v.array(v.string())}),
    }
)
