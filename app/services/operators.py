"""Operators off the wire, one object for the same bytes, so that what is known of one is found at once."""

from typing import Final

import msgspec

from app.schemas import measurements as wire
from predictors.graph import Operator

CACHED_OPERATORS: Final = 20_000

_operators = msgspec.json.Decoder(wire.Operator)
_operator_by_bytes: dict[bytes, Operator] = {}


def decode_operator(raw: msgspec.Raw) -> Operator:
    """Return the operator that these bytes describe; raise msgspec's errors."""
    key = bytes(raw)
    operator = _operator_by_bytes.get(key)
    if operator is None:
        operator = _operator(_operators.decode(raw))
        if len(_operator_by_bytes) >= CACHED_OPERATORS:
            _operator_by_bytes.clear()
        _operator_by_bytes[key] = operator
    return operator


def _operator(record: wire.Operator) -> Operator:
    return Operator(
        op_type=record.op_type,
        inputs=tuple(map(tuple, record.inputs)),
        outputs=tuple(map(tuple, record.outputs)),
        dtype=record.dtype,
        attributes=record.attributes,  # type: ignore[arg-type]
    )
