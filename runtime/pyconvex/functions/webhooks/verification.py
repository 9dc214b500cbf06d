"""What the schemes have in common: the raw body, the secrets, the replay window, and the error."""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import ClassVar, NamedTuple, TypeAlias

from pyconvex.clock import SystemClock
from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.fetch.request import Request

Secret: TypeAlias = str | bytes
Moment: TypeAlias = datetime | float
"""A `datetime`, or milliseconds since 1970."""
HeadersLike: TypeAlias = Headers | Mapping[str, str]

TOLERANCE = timedelta(minutes=5)

_RIGHT_BODY = "Give it the body exactly as it arrived (JSON that was parsed and written again is another text)."


class WebhookVerificationError(RequestRefused):
    """A request is not what its sender signed, or not now. Where a handler lets it pass, the answer is 400.

    `code` is `WebhookHeaderMissing`, `WebhookHeaderMalformed`, `WebhookTooOld`, `WebhookTooNew` or
    `WebhookSignatureMismatch`; `hint` is for the developer and never sent. No text holds a secret or the
    signature that would have been right.
    """

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(400, code, message, hint=hint)


class Signed(NamedTuple):
    """What a request says about itself."""

    content: bytes
    """The bytes that were signed."""
    signatures: Sequence[bytes]
    """Those of the scheme's own kind; one of them has to be right."""
    at_seconds: int | None = None
    """When it was signed, where the scheme says so."""


class Webhook(ABC):
    """Verifies what one sender signs. The schemes are its subclasses.

    Raises (when it is made):
        ValueError: no secret, or an empty or malformed one; the text does not hold it.
    """

    _scheme: ClassVar[str]

    def __init__(self, secret: Secret | Sequence[Secret], tolerance: timedelta) -> None:
        given = [secret] if isinstance(secret, str | bytes) else list(secret)
        if not given:
            raise ValueError(f"{self._scheme} needs a secret, and the list of them is empty")
        self._keys = [self._key(_checked(each, self._scheme)) for each in given]
        if tolerance <= timedelta(0):
            raise ValueError(f"The tolerance of {self._scheme} is {tolerance}, but it must be above zero")
        self._tolerance_seconds = tolerance.total_seconds()

    async def verify(self, request: Request) -> bytes:
        """The raw body of a request that is genuine; the request's own readers (`json()`, …) work afterwards.

        Raises:
            WebhookVerificationError: it is not.
            TypeError: the body was read before; verify first, or read `bytes()` once and use `check`.
            RequestRefused: the body is larger than the limit (status 413).
        """
        body = await request.clone().bytes()
        self.check(body, request.headers)
        return body

    def check(self, body: bytes | str, headers: HeadersLike, *, now: Moment | None = None) -> None:
        """The same for parts at hand: return when they are genuine, else raise.

        In a mounted application nobody but itself answers what this raises with 400.

        Args:
            body: exactly as it arrived.
            headers: of the request; names in any case.
            now: what the replay window is measured from, instead of the time at which the request arrived.

        Raises:
            WebhookVerificationError: they are not.
        """
        known = headers if isinstance(headers, Headers) else Headers(headers)
        signed = self._read(as_bytes(body), known)
        if signed.at_seconds is not None:
            self._check_window(signed.at_seconds, _arrived_ms() if now is None else milliseconds(now))
        right = [self._signature(key, signed.content) for key in self._keys]
        # All with all, so that the time it takes does not tell which of them was near.
        matches = [hmac.compare_digest(each, given) for each in right for given in signed.signatures]
        if not any(matches):
            raise WebhookVerificationError(
                "WebhookSignatureMismatch",
                "No signature in the request is right for its body and the secret",
                hint=f"Check that the secret is that of this endpoint. {_RIGHT_BODY}",
            )

    @abstractmethod
    def _key(self, secret: Secret) -> bytes:
        """The key that a secret stands for. Raises `ValueError`."""

    @abstractmethod
    def _read(self, body: bytes, headers: Headers) -> Signed:
        """What the headers say. Raises `WebhookVerificationError` when they are missing or malformed."""

    @abstractmethod
    def _signature(self, key: bytes, content: bytes) -> bytes:
        """The signature as it stands in the header."""

    def _check_window(self, at_seconds: int, now_ms: float) -> None:
        age = now_ms / 1000 - at_seconds
        allowed = f"{self._tolerance_seconds:g} seconds are allowed"
        if age > self._tolerance_seconds:
            raise WebhookVerificationError(
                "WebhookTooOld",
                f"The request was signed {age:.0f} seconds ago, and {allowed}",
                hint="It may have been captured and sent again. `pyconvex replay` repeats one as it first came.",
            )
        if -age > self._tolerance_seconds:
            raise WebhookVerificationError(
                "WebhookTooNew",
                f"The request was signed {-age:.0f} seconds in the future, and {allowed}",
                hint="Check the clock of this machine.",
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._keys)} secret{'s' * (len(self._keys) != 1)}>"


def required(headers: Headers, name: str) -> str:
    """The value of a header.

    Raises:
        WebhookVerificationError: it is missing or empty.
    """
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError(
            "WebhookHeaderMissing",
            f"The request has no header `{name}`",
            hint="Only the sender's own requests are signed; `sign` makes the headers for a test.",
        )
    return value


def seconds_of(text: str, where: str) -> int:
    """Seconds since 1970 as a sender writes them.

    Raises:
        WebhookVerificationError: no whole number.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise malformed(f"{where} is no time in whole seconds")
    return int(text)


def malformed(message: str) -> WebhookVerificationError:
    return WebhookVerificationError("WebhookHeaderMalformed", message)


def hmac_sha256(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, sha256)


def as_bytes(text: bytes | str) -> bytes:
    """A body or a secret, text as UTF-8."""
    return text.encode() if isinstance(text, str) else bytes(text)


def milliseconds(moment: Moment) -> float:
    """Milliseconds since 1970."""
    return moment.timestamp() * 1000 if isinstance(moment, datetime) else moment


def signing_seconds(at: Moment | None) -> int:
    """Whole seconds since 1970 of a time to sign with; now without one."""
    return int(_arrived_ms() if at is None else milliseconds(at)) // 1000


def take_arrival_from(arrived_ms: Callable[[], float]) -> None:
    """Let `arrived_ms` tell when the request that is being handled arrived, in milliseconds since 1970."""
    global _arrived_ms
    _arrived_ms = arrived_ms


_arrived_ms: Callable[[], float] = SystemClock().now_ms


def _checked(secret: Secret, scheme: str) -> Secret:
    if not isinstance(secret, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance] - `os.environ.get` gives None
        raise ValueError(f"A secret of {scheme} is text or bytes, not {type(secret).__name__}")
    if not secret:
        raise ValueError(f"The secret of {scheme} is empty: anybody could sign with it")
    if isinstance(secret, str) and secret != secret.strip():
        raise ValueError(f"The secret of {scheme} begins or ends with a space or a line break, which it surely has not")
    return secret
