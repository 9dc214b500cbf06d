"""What went wrong with a bucket, out of the texts that the client library gives.

It tells kinds of failure apart for some calls only; S3's own code is in the text of every one
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
"""

import re
from typing import Final

from .location import Bucket
from .storage import FileMissing, FileStorageFailed

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSED_STATUSES: Final = frozenset({"401", "403"})
_REFUSED: Final = frozenset(
    {"AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"}
    | {"RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)
_CREDENTIALS_ASKED_FOR: Final = ("/latest/api/token", "/latest/meta-data/", "WebIdentity")
"""Where the client library looks for credentials when nobody has given it any."""


def failure(error: Exception, bucket: Bucket, key: str | None = None) -> FileStorageFailed | FileMissing:
    """The error to raise for what obstore raised. With a `key`, it may be that the file is not there."""
    text = str(error)
    named, status = _CODE.search(text), _STATUS.search(text)
    code, number = named[1] if named else "", status[1] if status else ""
    if code == "NoSuchBucket":
        hint = "create it, or name another one with --storage"
        return FileStorageFailed("BucketMissing", f"there is no bucket {bucket}", hint=hint)
    if key is not None and isinstance(error, FileNotFoundError):
        return FileMissing(key)
    if any(each in text for each in _CREDENTIALS_ASKED_FOR):
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run it where a role gives them"
        return FileStorageFailed("CredentialsMissing", f"there are no credentials for {bucket}", hint=hint)
    if code in _REFUSED or number in _REFUSED_STATUSES:
        hint = (
            "see that the key is right, and that it may s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
        )
        return FileStorageFailed("BucketRefused", f"{bucket} refuses the credentials: {code or number}", hint=hint)
    if "incorrectly configured region" in text:
        hint = "name its region: s3://BUCKET?region=eu-central-1, or AWS_REGION"
        return FileStorageFailed("BucketRefused", f"{bucket} is in another region", hint=hint)
    return FileStorageFailed("StorageUnreachable", f"{bucket} cannot be used now: {_reason(text, code, number)}")


def _reason(text: str, code: str, status: str) -> str:
    if code or status:
        return f"it answers {code or status}"
    return text.partition("\n")[0].rpartition(" - ")[2]
