"""What the setting `storage` says: a folder, or a bucket."""

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

SCHEME: Final = "s3://"


class Bucket(Struct, frozen=True):
    """A bucket, and where in it files are. `endpoint` and `region` are None where AWS's own settings count."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    @classmethod
    def of(cls, url: str) -> "Bucket":
        """The bucket of `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`; only the bucket has to be there."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        return cls(parts.netloc, parts.path.strip("/"), options.get("endpoint"), options.get("region"))

    def __str__(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"{SCHEME}{self.name}{'/' if self.prefix else ''}{self.prefix}{where}"
