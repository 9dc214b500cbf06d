"""`current_ctx()` and the door `pyconvex.server`."""

from typing import Any

import pytest

import pyconvex.server
from pyconvex.errors import DeveloperError
from pyconvex.functions.context import RUNNING_CTX
from pyconvex.server import current_ctx


def test_the_ctx_that_is_running() -> None:
    with pytest.raises(DeveloperError, match="while no request is being served"):
        current_ctx()
    ctx: Any = object()
    token = RUNNING_CTX.set(ctx)
    try:
        assert current_ctx() is ctx
    finally:
        RUNNING_CTX.reset(token)


def test_the_door_opens_on_everything_it_names() -> None:
    assert [name for name in pyconvex.server.__all__ if not hasattr(pyconvex.server, name)] == []
