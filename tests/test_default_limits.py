"""The limits a deployment has when nobody sets one: Convex's (https://docs.convex.dev/production/state/limits)."""

from pathlib import Path

import pytest

from pyconvex.settings import resolve_settings

MIB = 2**20
DEFAULTS: dict[str, float] = {
    "query_seconds": 1,
    "mutation_seconds": 1,
    "transaction_seconds": 15,
    "action_seconds": 600,
    "load_seconds": 4,
    "args_bytes": 16 * MIB,
    "result_bytes": 16 * MIB,
    "http_request_bytes": 20 * MIB,
    "http_response_bytes": 20 * MIB,
    "api_request_seconds": 300,
    "concurrent_api_requests": 128,
    "echo_bytes": 128 * MIB,
    "read_bytes": 16 * MIB,
    "read_documents": 32_000,
    "read_ranges": 4_096,
    "write_bytes": 16 * MIB,
    "write_documents": 16_000,
    "scheduled_functions": 1_000,
    "scheduled_args_bytes": 16 * MIB,
    "outstanding_functions": 1_000_000,
    "log_lines": 256,
    "log_line_bytes": 32_768,
    "call_depth": 8,
    "concurrent_actions": 64,
    "environment_variables": 512,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_limit_nobody_set(tmp_path: Path, name: str) -> None:
    assert getattr(resolve_settings(tmp_path).limits, name) == DEFAULTS[name]
