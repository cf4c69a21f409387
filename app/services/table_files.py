"""Tables as files, written piece by piece: CSV and Parquet of any length in little memory."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.services.times import rfc3339

TEXT, WHOLE, NUMBER, MOMENT, TRUTH = (
    pa.string(),
    pa.int64(),
    pa.float64(),
    pa.timestamp("us", "UTC"),
    pa.bool_(),
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TableFile:
    """A table to write: the types of its columns in order, and its rows in portions."""

    columns: Mapping[str, pa.DataType]
    portions: Iterable[Sequence[Row]]


def csv_pieces(table: TableFile) -> Iterator[bytes]:
    """Yield a CSV file with a header; times are RFC 3339, a missing value is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    for portion in table.portions:
        writer.writerows([_text(row.get(name)) for name in table.columns] for row in portion)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def parquet_pieces(table: TableFile) -> Iterator[bytes]:
    """Yield a Parquet file, one row group a portion."""
    schema = pa.schema(list(table.columns.items()))
    sink = _Drain()
    with pq.ParquetWriter(sink, schema) as writer:
        for portion in table.portions:
            if portion:
                writer.write_table(pa.Table.from_pylist([dict(row) for row in portion], schema=schema))
                yield sink.take()
    yield sink.take()


def _text(value: Any) -> Any:  # noqa: ANN401
    return rfc3339(value) if isinstance(value, datetime) else value


class _Drain(io.RawIOBase):
    """A file that only grows and whose new bytes can be taken away."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:  # noqa: ANN401
        self._held += data
        self._written += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken
