"""The wire's columnar batch out of spooled records: each distinct operator once, timings as plain arrays."""

import uuid
from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from collectors.spool import Record, Spool

AGENT = {"name": "socast-agent", "version": version("socast")}
LAYOUTS_KEPT = 64


class BatchBuilder:
    """Builds batches from the records of one spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._layouts: dict[int, list[msgspec.Raw]] = {}

    def build(self, records: Sequence[Record]) -> bytes:
        """Return the JSON of one batch of records, which are all of one device."""
        operators: dict[bytes, int] = {}
        runs: list[msgspec.Raw] = []
        transfers: list[msgspec.Raw] = []
        for record in records:
            if record.kind == "transfer":
                transfers.append(msgspec.Raw(record.body))
                continue
            layout = [] if record.layout is None else self._layout(record.layout)
            indexes = [operators.setdefault(bytes(operator), len(operators)) for operator in layout]
            chance = record.inclusion_probability
            runs.append(_with_fields(record.body, operators=indexes, inclusion_probability=chance))
        batch = {
            "batch_id": str(uuid.uuid4()),
            "agent": AGENT,
            "device": msgspec.Raw(self._spool.device(records[0].device)),
            "operators": [msgspec.Raw(operator) for operator in operators],
            "runs": runs,
            "transfers": transfers,
        }
        return msgspec.json.encode(batch)

    def _layout(self, number: int) -> list[msgspec.Raw]:
        if number not in self._layouts:
            if len(self._layouts) >= LAYOUTS_KEPT:
                self._layouts.pop(next(iter(self._layouts)))
            self._layouts[number] = msgspec.json.decode(self._spool.layout(number), type=list[msgspec.Raw])
        return self._layouts[number]


def _with_fields(body: str, **fields: object) -> msgspec.Raw:
    """Append fields to a JSON object without decoding it."""
    return msgspec.Raw(body[:-1].encode() + b"," + msgspec.json.encode(fields)[1:])
