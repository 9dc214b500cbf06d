"""Files in a bucket: in parts, and with errors that say what to do."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import obstore
import pytest

from pyconvex.clock import SystemClock
from pyconvex.errors import StartFailed
from pyconvex.files import s3
from pyconvex.files.location import Bucket
from pyconvex.files.s3 import PART_BYTES, S3Files
from pyconvex.files.storage import FileMissing, FileStorageFailed, new_key
from pyconvex.host.files import storage_for
from support.ports import free_port
from support.s3 import CREDENTIALS, fresh_bucket, refusing

CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def closed_endpoint() -> str:
    return f"http://127.0.0.1:{free_port()}"


def bucket_at(endpoint: str) -> Bucket:
    return Bucket("some-bucket", "some/where", endpoint, "us-east-1")


async def zeros(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 65_536):
        yield bytes(min(65_536, size - start))


@pytest.mark.parametrize(("size", "parts"), [(PART_BYTES, 1), (PART_BYTES + 1, 2), (3 * PART_BYTES, 3)])
def test_large_files_go_in_parts(size: int, parts: int) -> None:
    with fresh_bucket() as bucket:
        key = new_key(CLOCK)
        asyncio.run(S3Files(Bucket.of(bucket.url("a/b")), "mine").put(key, zeros(size)))
        assert bucket.keys() == [f"a/b/mine/{key}"]
        assert bucket.parts() == [parts]
        assert bucket.unfinished() == []


def test_a_file_of_more_parts_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PARTS_MAX", 2)

    async def test() -> None:
        with fresh_bucket() as bucket:
            files = S3Files(Bucket.of(bucket.url()), "mine")
            await files.put(new_key(CLOCK), zeros(2 * PART_BYTES))
            with pytest.raises(FileStorageFailed) as failed:
                await files.put(new_key(CLOCK), zeros(2 * PART_BYTES + 1))
            assert failed.value.code == "FileTooLarge"
            assert (len(bucket.keys()), bucket.unfinished()) == (1, [])

    asyncio.run(test())


def test_a_file_that_is_cancelled_when_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with fresh_bucket() as bucket:
            put_async = obstore.put_async

            async def sent(*args: Any, **named: Any) -> Any:
                putting.cancel()
                return await put_async(*args, **named)

            monkeypatch.setattr(obstore, "put_async", sent)
            putting = asyncio.create_task(S3Files(Bucket.of(bucket.url()), "mine").put(new_key(CLOCK), b"x"))
            with pytest.raises(asyncio.CancelledError):
                await putting
            assert bucket.keys() == []

    asyncio.run(test())


def test_deployments_may_share_a_bucket() -> None:
    async def test() -> None:
        with fresh_bucket() as bucket:
            mine, other = (S3Files(Bucket.of(bucket.url("shared")), name) for name in ("mine", "other"))
            key = new_key(CLOCK)
            await mine.put(key, b"x")
            assert [keys async for keys in other.older_than(CLOCK.now_ms() + 60_000) if keys] == []
            await other.delete(key)
            with pytest.raises(FileMissing):
                await other.open(key)
            assert await anext(await mine.open(key)) == b"x"

    asyncio.run(test())


REFUSALS = {
    "no bucket": (
        "404 Not Found",
        "NoSuchBucket",
        "BucketMissing",
        "there is no bucket s3://some-bucket/some/where at",
    ),
    "a wrong key": (
        "403 Forbidden",
        "InvalidAccessKeyId",
        "BucketRefused",
        "refuses the credentials: InvalidAccessKeyId",
    ),
    "a wrong secret": ("403 Forbidden", "SignatureDoesNotMatch", "BucketRefused", "refuses the credentials"),
    "no rights": ("403 Forbidden", "AccessDenied", "BucketRefused", "refuses the credentials: AccessDenied"),
    "no words": ("401 Unauthorized", "", "BucketRefused", "refuses the credentials: 401"),
    "another region": ("301 Moved", "", "BucketRefused", "is in another region"),
    "too busy": ("503 Slow Down", "SlowDown", "StorageUnreachable", "cannot be used now: it answers SlowDown"),
    "no S3 at all": ("400 Bad Request", "", "StorageUnreachable", "cannot be used now: it answers 400"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_bucket_refuses(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, answered, code, message = REFUSALS[case]
    monkeypatch.setattr(s3, "_RETRIES", {"max_retries": 0})

    async def test() -> None:
        async with refusing(status, answered) as endpoint:
            files = S3Files(bucket_at(endpoint), "mine")
            failures: list[FileStorageFailed] = []
            for attempt in (
                files.check(),
                files.put(new_key(CLOCK), b"x"),
                files.put(new_key(CLOCK), zeros(PART_BYTES + 1)),
                files.open(new_key(CLOCK)),
                files.delete(new_key(CLOCK)),
                anext(aiter(files.older_than(0))),
            ):
                with pytest.raises(FileStorageFailed) as failed:
                    await attempt
                failures.append(failed.value)
            assert [failure.code for failure in failures] == [code] * 6
            assert all(message in failure.message for failure in failures), failures[0].message
            assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(failures)

    asyncio.run(test())


async def opened(url: str, folder: Path) -> StartFailed:
    with pytest.raises(StartFailed) as failed:
        await storage_for(url, project=folder, folder=folder, secret=bytes(32), clock=CLOCK, shared=False)
    return failed.value


def test_a_bucket_is_looked_at_when_the_deployment_starts(tmp_path: Path) -> None:
    with fresh_bucket() as bucket:
        missing = bucket.url().replace(bucket.name, "nobodys-bucket")
        failed = asyncio.run(opened(missing, tmp_path))
    assert failed.code == "BucketMissing"
    assert failed.hint == "create it, or name another one with --storage"


def test_the_library_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyconvex.files.s3")
    monkeypatch.setitem(sys.modules, "obstore", None)
    failed = asyncio.run(opened("s3://some-bucket", tmp_path))
    assert (failed.code, failed.hint) == ("ExtraMissing", "pip install 'pyconvex[s3]'")


def test_an_endpoint_that_is_away(tmp_path: Path) -> None:
    failed = asyncio.run(opened(f"s3://some-bucket?endpoint={closed_endpoint()}", tmp_path))
    assert failed.code == "StorageUnreachable"
    assert "error sending request" in failed.message


def test_nobody_has_given_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", closed_endpoint())  # where a machine of Amazon's has them
    with fresh_bucket() as bucket:
        for name in CREDENTIALS:
            monkeypatch.delenv(name)
        failed = asyncio.run(opened(bucket.url(), tmp_path))
    assert failed.code == "CredentialsMissing"
    assert failed.hint == "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run it where a role gives them"


@pytest.mark.parametrize(
    ("url", "bucket", "shown"),
    [
        ("s3://abc", Bucket("abc"), "s3://abc"),
        ("s3://abc/", Bucket("abc"), "s3://abc"),
        ("s3://abc/d/e/", Bucket("abc", "d/e"), "s3://abc/d/e"),
        ("s3://abc?region=eu-central-1", Bucket("abc", region="eu-central-1"), "s3://abc"),
        (
            "s3://abc/d?endpoint=http://127.0.0.1:9000&region=x",
            Bucket("abc", "d", "http://127.0.0.1:9000", "x"),
            "s3://abc/d at http://127.0.0.1:9000",
        ),
        ("s3://abc?endpoint=https%3A%2F%2Fx.y", Bucket("abc", endpoint="https://x.y"), "s3://abc at https://x.y"),
    ],
)
def test_buckets_of_urls(url: str, bucket: Bucket, shown: str) -> None:
    assert Bucket.of(url) == bucket
    assert str(bucket) == shown
