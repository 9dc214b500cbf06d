"""Texts as the interfaces of the web take them."""

_BYTES: tuple[type, ...] = (bytes, bytearray, memoryview)
_COLLECTIONS: tuple[type, ...] = (list, tuple, dict, set, frozenset)


def well_formed(text: str) -> str:
    """The text with lone surrogates replaced (https://webidl.spec.whatwg.org/#idl-USVString)."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def text_of(value: object, what: str) -> str:
    """`value` as a form, a query string or a header shows it: numbers as they are written, `true` and `false`.

    Args:
        what: names the value in an error.

    Raises:
        TypeError: None, bytes or a collection, whose `str()` nobody wants to send.
    """
    if isinstance(value, str):
        return well_formed(str.__str__(value))  # the text of an Enum, not its name
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise TypeError(f"{what} is None; leave it out instead")
    kind = type(value)
    if issubclass(kind, (*_BYTES, *_COLLECTIONS)):
        hint = "decode it first" if issubclass(kind, _BYTES) else "give each value by itself"
        raise TypeError(f"{what} is a {kind.__name__}, not text: {hint}")
    return well_formed(str(value))
