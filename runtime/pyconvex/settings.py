"""Settings and limits of a deployment: each value has a name, a default, and a place it came from."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits by name, the unit last. Defaults are Convex's (https://docs.convex.dev/production/state/limits)."""

    query_seconds: float = field(default=1.0, metadata={"about": "user code of one query"})
    mutation_seconds: float = field(default=1.0, metadata={"about": "user code of one mutation"})
    action_seconds: float = field(default=600.0, metadata={"about": "one action or HTTP action"})
    load_seconds: float = field(default=4.0, metadata={"about": "loading the convex/ folder"})
    args_bytes: int = field(default=16 * 2**20, metadata={"about": "arguments of one call"})
    result_bytes: int = field(default=16 * 2**20, metadata={"about": "return value of one call"})
    http_request_bytes: int = field(default=20 * 2**20, metadata={"about": "body of a request to an HTTP action"})
    http_response_bytes: int = field(default=20 * 2**20, metadata={"about": "body of an HTTP action's response"})
    api_request_bytes: int = field(default=16 * 2**20 + 2000, metadata={"about": "JSON body of a client API request"})
    read_bytes: int = field(default=16 * 2**20, metadata={"about": "documents read by one query or mutation"})
    read_documents: int = field(default=32_000, metadata={"about": "documents scanned by one query or mutation"})
    read_ranges: int = field(default=4_096, metadata={"about": "reads of one query or mutation"})
    write_bytes: int = field(default=16 * 2**20, metadata={"about": "documents written by one mutation"})
    write_documents: int = field(default=16_000, metadata={"about": "writes of one mutation"})
    log_lines: int = field(default=256, metadata={"about": "log lines of one call"})
    log_line_bytes: int = field(default=32_768, metadata={"about": "one log line"})
    call_depth: int = field(default=8, metadata={"about": "calls within calls"})
    concurrent_actions: int = field(default=64, metadata={"about": "actions and HTTP actions running at once"})
    environment_variables: int = field(default=512, metadata={"about": "variables of the deployment"})
    log_history_bytes: int = field(default=64 * 2**20, metadata={"about": "log kept on disk"})
