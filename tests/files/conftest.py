"""The storages that every suite of stored files has to pass."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyconvex.clock import Clock, SystemClock
from pyconvex.files.local import LocalFiles
from pyconvex.files.location import Bucket
from pyconvex.files.storage import FileStorage
from support.s3 import TestBucket, fresh_bucket


@dataclass
class Kept:
    """Where files are kept; `left()` is everything that is there, the unfinished included."""

    folder: Path
    bucket: TestBucket | None = None

    def files(self, clock: Clock | None = None) -> FileStorage:
        if self.bucket is None:
            return LocalFiles(self.folder, clock=clock or SystemClock())
        from pyconvex.files.s3 import S3Files

        return S3Files(Bucket.of(self.bucket.url("some/where")), "mine")

    def left(self) -> list[str]:
        if self.bucket is not None:
            return [*self.bucket.keys(), *self.bucket.unfinished()]
        return [path.name for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture(params=["local", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Kept]:
    if request.param == "local":
        yield Kept(tmp_path / "files")
        return
    with fresh_bucket() as bucket:
        yield Kept(tmp_path, bucket)
