"""`values/timestamps.py`: commit timestamps on the wire."""

import pytest

from pyconvex.values.timestamps import TIMESTAMP_MAX, decode_timestamp, encode_timestamp


@pytest.mark.parametrize(
    ("ts", "text"),
    [
        (0, "AAAAAAAAAAA="),
        (1767225600250000000, "gLLg/FFyhhg="),
        (1767225606000000000, "ALyaU1Nyhhg="),
        (TIMESTAMP_MAX, "/////////38="),
    ],
)
def test_there_and_back(ts: int, text: str) -> None:
    assert encode_timestamp(ts) == text
    assert decode_timestamp(text) == ts


@pytest.mark.parametrize(
    "text", ["", "5", "AAAAAAAAAA==", "AAAAAAAAAAAA", "gLLg_FFyhhg=", "/////////////////", "é", "//////////8="]
)
def test_what_is_no_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|base64|padding|ASCII"):
        decode_timestamp(text)
