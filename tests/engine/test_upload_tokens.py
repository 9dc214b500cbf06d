"""Tokens of upload URLs: good for an hour, for the deployment that made them, and not to be made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.clock import ManualClock
from pyconvex.engine.files.upload_tokens import VALID_SECONDS, UploadTokens
from pyconvex.errors import RequestRefused

SECRET = bytes(32)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def refused(tokens: UploadTokens, token: str) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as error:
        tokens.check(token)
    return error.value.status, error.value.code


def test_a_token_is_good_for_an_hour() -> None:
    clock = ManualClock(1_000_000.0)
    tokens = UploadTokens(SECRET, clock)
    token = tokens.token()
    clock.advance(VALID_SECONDS)
    tokens.check(token)
    clock.advance(0.002)
    assert refused(tokens, token) == (401, "StorageTokenExpired")
    tokens.check(tokens.token())


def test_it_is_the_deployments_and_not_the_processs() -> None:
    clock = ManualClock()
    token = UploadTokens(SECRET, clock).token()
    UploadTokens(SECRET, clock).check(token)
    assert refused(UploadTokens(b"\1" * 32, clock), token) == (401, "StorageTokenInvalid")


def test_each_is_different_and_fits_a_url() -> None:
    tokens = UploadTokens(SECRET, ManualClock())
    made = {tokens.token() for _ in range(100)}
    assert len(made) == 100
    assert all(set(token) <= set(ALPHABET) for token in made)


@given(at=st.integers(0, 55), letter=st.sampled_from(ALPHABET))
def test_no_letter_may_be_another(at: int, letter: str) -> None:
    tokens = UploadTokens(SECRET, ManualClock())
    token = tokens.token()
    assert len(token) == 56
    changed = token[:at] + letter + token[at + 1 :]
    if changed == token:
        tokens.check(changed)
    else:
        assert refused(tokens, changed) == (401, "StorageTokenInvalid")


@given(st.text(max_size=80))
def test_texts_that_are_none(text: str) -> None:
    assert refused(UploadTokens(SECRET, ManualClock()), text) == (401, "StorageTokenInvalid")
