"""Cursors: where the next page begins, opaque to those who hand them back."""

import base64
import json

from app.errors import Fault, InvalidRequestError

Value = str | int
MOST = 2**63
"""Integers from here on are none that a database holds."""


def write(*values: Value) -> str:
    """Return the cursor of the entry with these sort values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def read(cursor: str, *kinds: type[Value]) -> list[Value]:
    """Return the sort values in a cursor; raise `InvalidRequestError` when they are not of these kinds."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor))
        if isinstance(values, list) and [type(value) for value in values] == list(kinds) and _held(values):
            return values
    except (ValueError, RecursionError):
        pass
    raise InvalidRequestError(faults=(Fault("/query/cursor", "use the `next` of the page before"),))


def _held(values: list[Value]) -> bool:
    """Whether a database can compare with these values."""
    return all(abs(value) < MOST if isinstance(value, int) else "\0" not in value for value in values)
