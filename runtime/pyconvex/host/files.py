"""Which storage keeps the stored files."""

from hashlib import blake2b
from pathlib import Path

from pyconvex.clock import Clock
from pyconvex.errors import StartFailed
from pyconvex.files.local import LocalFiles
from pyconvex.files.location import SCHEME, Bucket
from pyconvex.files.storage import FileStorage, FileStorageFailed


def is_bucket(storage: str | None) -> bool:
    """Whether the setting `storage` names a bucket, which processes on all machines see alike."""
    return storage is not None and storage.startswith(SCHEME)


def shown(storage: str | None) -> str:
    """The setting `storage` for people; empty when it only says the data folder."""
    return "" if storage is None else str(Bucket.of(storage)) if is_bucket(storage) else storage


async def storage_for(
    storage: str | None, *, project: Path, folder: Path, secret: bytes, clock: Clock, shared: bool
) -> FileStorage:
    """The storage that the setting `storage` names, ready to be used.

    Args:
        folder: the data folder of the deployment, for a setting that names no place.
        secret: the deployment's. Its files are in a folder of their own, wherever they are, so that nobody who shares
            the place takes them for orphans.
        shared: other processes of the deployment may use it too.

    Raises:
        StartFailed: it cannot be used.
    """
    mine = blake2b(secret, digest_size=8, person=b"file folder").hexdigest()
    if storage is not None and is_bucket(storage):
        return await _bucket(Bucket.of(storage), mine)
    return LocalFiles(_folder(storage, project, folder) / mine, clock=clock, shared=shared)


def _folder(storage: str | None, project: Path, data: Path) -> Path:
    """One that is named is relative to the project."""
    return data / "files" if storage is None else project / Path(storage).expanduser()


async def _bucket(bucket: Bucket, folder: str) -> FileStorage:
    try:
        from pyconvex.files.s3 import S3Files
    except ImportError as error:
        if error.name is not None and error.name.startswith("pyconvex"):
            raise
        hint = "pip install 'pyconvex[s3]'"
        message = f"files in a bucket need a library that is not installed: {error}"
        raise StartFailed("ExtraMissing", message, hint=hint) from error
    files = S3Files(bucket, folder)
    try:
        await files.check()
    except FileStorageFailed as error:
        raise StartFailed(error.code, error.message, hint=error.hint) from error
    return files
