from collections.abc import Iterator
from pathlib import Path

import pytest

from support.folder import FunctionsFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[FunctionsFolder]:
    made = FunctionsFolder(tmp_path)
    yield made
    made.retire()
