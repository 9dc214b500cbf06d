"""How the client API writes the end of a function: `{"status": "success", "value": …}` or `"error"`, with log lines.

https://docs.convex.dev/http-api/
"""

import msgspec

from pyconvex.engine.runner import Outcome
from pyconvex.values.value import Undefined

from .function_request import Encode


def answer_of(outcome: Outcome, encode: Encode, request_id: str, *, redact: bool) -> bytes:
    """The JSON object for one call.

    Arguments:
        encode: writes values in the format that the client wants.
        redact: keep the error text and the log lines from the client. The data of a `ConvexError` is always sent.
    """
    if outcome.failure is None:
        parts = [b'{"status":"success","value":', encode(outcome.value)]
    else:
        text = outcome.failure.for_client(request_id, redacted=redact)
        parts = [b'{"status":"error","errorMessage":', msgspec.json.encode(text)]
        if not isinstance(outcome.failure.data, Undefined):
            parts += [b',"errorData":', encode(outcome.failure.data)]
    if outcome.log_lines and not redact:
        parts += [b',"logLines":', msgspec.json.encode(outcome.log_lines)]
    return b"".join([*parts, b"}"])
