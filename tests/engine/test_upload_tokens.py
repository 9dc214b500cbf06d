"""Tokens of upload URLs: good for an hour, for the deployment that made them, and not to be made up."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.clock import ManualClock
from pyconvex.engine.files.upload_tokens import NONCE_BYTES, VALID_SECONDS, UploadTokens
from pyconvex.errors import RequestRefused

SECRET = bytes(32)
NONCE = bytes(range(NONCE_BYTES))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def refused(tokens: UploadTokens, token: str) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as error:
        tokens.read(token)
    return error.value.status, error.value.code


def test_a_token_is_good_for_an_hour() -> None:
    clock = ManualClock(1_000_000.0)
    tokens = UploadTokens(SECRET, clock)
    token = tokens.token(NONCE, bound=True)
    clock.advance(VALID_SECONDS)
    tokens.read(token)
    clock.advance(0.002)
    assert refused(tokens, token) == (401, "StorageTokenExpired")
    tokens.read(tokens.token(NONCE, bound=True))


def test_it_is_the_deployments_and_not_the_processs() -> None:
    clock = ManualClock()
    token = UploadTokens(SECRET, clock).token(NONCE, bound=True)
    UploadTokens(SECRET, clock).read(token)
    assert refused(UploadTokens(b"\1" * 32, clock), token) == (401, "StorageTokenInvalid")


@pytest.mark.parametrize("bound", [False, True])
def test_it_says_what_it_was_made_of(bound: bool) -> None:
    tokens = UploadTokens(SECRET, ManualClock())
    read = tokens.read(tokens.token(NONCE, bound=bound))
    assert (read.nonce, read.bound) == (NONCE, bound)


def test_no_bit_of_it_may_be_another() -> None:
    """Neither a later time, nor another nonce, nor one that is bound to nothing."""
    tokens = UploadTokens(SECRET, ManualClock())
    made = urlsafe_b64decode(tokens.token(NONCE, bound=True))
    for at in range(len(made) * 8):
        changed = bytearray(made)
        changed[at // 8] ^= 1 << at % 8
        assert refused(tokens, urlsafe_b64encode(changed).decode()) == (401, "StorageTokenInvalid"), at


def test_each_is_different_and_fits_a_url() -> None:
    tokens = UploadTokens(SECRET, ManualClock())
    made = {tokens.token(tokens.nonce(), bound=bound) for _ in range(50) for bound in (False, True)}
    assert len(made) == 100
    assert all(set(token) <= set(ALPHABET) for token in made)


@given(at=st.integers(0, 63), letter=st.sampled_from(ALPHABET))
def test_no_letter_may_be_another(at: int, letter: str) -> None:
    tokens = UploadTokens(SECRET, ManualClock())
    token = tokens.token(NONCE, bound=True)
    assert len(token) == 64
    changed = token[:at] + letter + token[at + 1 :]
    if changed == token:
        tokens.read(changed)
    else:
        assert refused(tokens, changed) == (401, "StorageTokenInvalid")


@given(st.text(max_size=80))
def test_texts_that_are_none(text: str) -> None:
    assert refused(UploadTokens(SECRET, ManualClock()), text) == (401, "StorageTokenInvalid")
