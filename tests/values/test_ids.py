"""Document ids, against the vectors that the official decoder accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.errors import DeveloperError
from pyconvex.values.ids import DocumentId, InvalidId, decode_id, encode_id, new_internal_id

COUNTING = bytes(range(16))
EXAMPLE = bytes.fromhex("3a91c40f77d258ee136ba0498c254fe6")
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

VECTORS = [
    (10001, EXAMPLE, "j573n4e41xvx4p7e2dnt0jcc4n7ycp9q"),
    (10002, EXAMPLE, "j973n4e41xvx4p7e2dnt0jcc4n7ycpj9"),
    (540, EXAMPLE, "kg23n4e41xvx4p7e2dnt0jcc4n7yc6gk"),
    (1, COUNTING, "040020g30g2gc1r81450p30d1r7qke8"),
    (127, COUNTING, "fw0020g30g2gc1r81450p30d1r7ze5r"),
    (128, COUNTING, "g00g00820c20a1g7104gm2rc1m70zyds"),
    (10001, COUNTING, "j57000820c20a1g7104gm2rc1m70ynr8"),
    (16383, COUNTING, "zxzg00820c20a1g7104gm2rc1m70zxg5"),
    (16384, COUNTING, "g2002001081g81860w40j2gb1g6gw3vs74"),
    (4294967295, COUNTING, "zzzzzzrf000g40r40m30e209185gr38e1y1nj"),
]

ids = st.builds(DocumentId, st.integers(1, 2**32 - 1), st.binary(min_size=16, max_size=16))


@pytest.mark.parametrize(("table", "internal", "text"), VECTORS)
def test_reference_vectors(table: int, internal: bytes, text: str) -> None:
    assert encode_id(DocumentId(table, internal)) == text
    assert decode_id(text) == DocumentId(table, internal)


@given(ids)
def test_decoding_inverts_encoding(id: DocumentId) -> None:
    assert decode_id(encode_id(id)) == id


@given(ids, st.data())
def test_any_single_wrong_letter_is_noticed(id: DocumentId, data: st.DataObject) -> None:
    text = encode_id(id)
    position = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(ALPHABET).filter(lambda letter: letter != text[position]))
    with pytest.raises(InvalidId):
        decode_id(text[:position] + letter + text[position + 1 :])


@given(st.text(alphabet=ALPHABET, min_size=30, max_size=38))
def test_what_decodes_is_canonical(text: str) -> None:
    try:
        decoded = decode_id(text)
    except InvalidId:
        return
    assert encode_id(decoded) == text


def test_only_our_letters_are_read() -> None:
    text = VECTORS[0][2]
    for letter in [chr(code) for code in range(256) if chr(code) not in ALPHABET] + ["٣", "\ud800", "３"]:
        for broken in (letter + text[1:], text[:5] + letter + text[6:], text[:-1] + letter):
            with pytest.raises(InvalidId):
                decode_id(broken)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "j",
        "0" * 32,
        VECTORS[0][2].upper(),
        VECTORS[0][2] + " ",
        " " + VECTORS[0][2],
        VECTORS[0][2] + "0",
        VECTORS[0][2][:-1],
        "+" + VECTORS[0][2][1:],
        "j5_73n4e41xvx4p7e2dnt0jcc4n7ycp9",
        "z" * 37,
        "z" * 100_000,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidId, match=r"^Unable to decode ID$") as caught:
        decode_id(text)
    assert isinstance(caught.value, DeveloperError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("varint", ["8100", "ff00", "00", "ffffffff1f", "808080808001"])
def test_a_table_number_has_one_spelling(varint: str) -> None:
    """Also with a right checksum: a longer spelling of 1 and 127, the table 0, and numbers beyond 32 bits."""
    body = bytes.fromhex(varint) + COUNTING
    first = second = 0
    for byte in body:
        first = (first + byte) % 256
        second = (second + first) % 256
    data = body + bytes((first, second))
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    text = "".join(ALPHABET[int(bits[start : start + 5], 2)] for start in range(0, len(bits), 5))
    with pytest.raises(InvalidId):
        decode_id(text)


def test_a_new_id_ends_with_its_day() -> None:
    random = EXAMPLE[:14]
    midnight = 20454 * 86_400_000
    assert new_internal_id(random, midnight) == EXAMPLE
    assert new_internal_id(random, midnight + 86_399_999.9) == EXAMPLE
    assert new_internal_id(random, midnight - 0.1) == random + (20453).to_bytes(2, "big")
