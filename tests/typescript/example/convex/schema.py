from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema(
    {
        "users": define_table(
            {
                "name": v.string(),
                "role": v.union(v.literal("admin"), v.literal("guest")),
                "email": v.optional(v.string()),
                "balance": v.int64(),
                "avatar": v.optional(v.union(v.bytes(), v.null())),
                "address": v.object({"city": v.string(), "zip": v.optional(v.string())}),
                "friends": v.array(v.id("users")),
                "seen": v.record(v.id("users"), v.number()),
                "picture": v.optional(v.id("_storage")),
            }
        )
        .index("by_name", ["name"])
        .index("by_city", ["address.city", "name"], staged=True)
        .search_index("search_name", search_field="name", filter_fields=["role"]),
        "events": define_table(
            v.union(
                v.object({"kind": v.literal("joined"), "user": v.id("users")}),
                v.object({"kind": v.literal("left"), "why": v.union(v.string(), v.null()), "code": v.literal(-1)}),
            )
        ),
        "foods": define_table({"cuisine": v.string(), "embedding": v.array(v.float64())}).vector_index(
            "by_embedding", vector_field="embedding", dimensions=3, filter_fields=["cuisine"]
        ),
        "import": define_table({"rows": v.array(v.any()), "new": v.boolean()}),
        "anything": define_table(v.any()),
    }
)
