"""PostgreSQL: COPY, and for timings its binary form straight from number columns."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.store.bulk import TIMING_COLUMNS, DeviceChange, TimingColumns, device_update, driver_cursor

COPY_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"

WIDTH_BYTES = {"run_id": 8, "position": 4, "operator_id": 4, "latency_ns": 8, "ran_on": 4}


class PostgresBulk:
    """Implements `Bulk`."""

    def known_uuids(
        self, connection: Connection, table: str, column: str, uuids: Collection[UUID]
    ) -> set[UUID]:
        """Return those of `uuids` that `table` holds already."""
        cursor = driver_cursor(connection)
        cursor.execute(f"SELECT {column} FROM {table} WHERE {column} = ANY(%s)", (list(uuids),))
        return {row[0] for row in cursor.fetchall()}

    def insert(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows given as tuples in the order of `columns`."""
        with driver_cursor(connection).copy(f"COPY {table} ({','.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def insert_timings(self, connection: Connection, table: str, timings: TimingColumns) -> None:
        """Copy the rows without `ran_on` first, then the few with it."""
        values = (*timings.run_and_position(), timings.operator_id, timings.latency_ns)
        if not timings.ran_on:
            _copy(connection, table, TIMING_COLUMNS, values)
            return
        target = np.zeros(len(timings.operator_id), dtype=np.int64)
        for at, key in timings.ran_on:
            target[at] = key
        moved = target > 0
        _copy(connection, table, TIMING_COLUMNS, [column[~moved] for column in values])
        _copy(connection, table, (*TIMING_COLUMNS, "ran_on"), [column[moved] for column in (*values, target)])

    def update_devices(self, connection: Connection, changes: Sequence[DeviceChange]) -> None:
        """Book what devices have sent."""
        fields = "key int, now_us bigint, runs bigint, timings bigint, latest text, at_us bigint"
        statement = device_update(f"SELECT * FROM json_to_recordset(%s::json) AS sent ({fields})")
        driver_cursor(connection).execute(statement, (msgspec.json.encode(changes).decode(),))


def encode_rows(names: Sequence[str], columns: Sequence[NDArray[np.int64]]) -> bytes:
    """Return rows in COPY's binary format; `names` (of `WIDTH_BYTES`) tell how wide the `columns` are."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name in names:
        layout += [(f"{name}_size", ">i4"), (name, f">i{WIDTH_BYTES[name]}")]
    rows = np.empty(len(columns[0]), dtype=layout)
    rows["fields"] = len(names)
    for name, column in zip(names, columns, strict=True):
        rows[f"{name}_size"] = WIDTH_BYTES[name]
        rows[name] = column
    return COPY_START + rows.tobytes() + COPY_END


def _copy(
    connection: Connection, table: str, names: Sequence[str], columns: Sequence[NDArray[np.int64]]
) -> None:
    statement = f"COPY {table} ({','.join(names)}) FROM STDIN (FORMAT BINARY)"
    with driver_cursor(connection).copy(statement) as copy:
        copy.write(encode_rows(names, columns))
