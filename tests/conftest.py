"""What holds for all tests."""

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# How long one example takes says more about the machine than about what is tested.
settings.register_profile("pyconvex", deadline=None)
settings.load_profile("pyconvex")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI is set, a test whose library is missing fails: there nothing may go untested unnoticed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and "could not import" in str(report.longrepr):
        report.outcome = "failed"
    return report
