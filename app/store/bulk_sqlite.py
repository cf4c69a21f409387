"""SQLite: few long statements.

The driver drops Python's lock once a statement, so the server answers requests meanwhile; row by row
(`executemany`) the writer would wait for that lock after every row.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from app.store.bulk import TIMING_COLUMNS, DeviceChange, TimingColumns, device_update, driver_cursor

LATENCY_BITS = 40
"""A number of the JSON array packs operator and latency; 2^40 ns are 18 minutes."""
MAX_PACKED_OPERATOR = 1 << 23

CHUNKS = (128, 16, 1)
"""Rows of one statement: few sizes, so that the driver's cache of prepared statements serves them all."""

T = TypeVar("T")


class SqliteBulk:
    """Implements `Bulk`."""

    def known_uuids(
        self, connection: Connection, table: str, column: str, uuids: Collection[UUID]
    ) -> set[UUID]:
        """Return those of `uuids` that `table` holds already."""
        cursor = driver_cursor(connection)
        found: set[UUID] = set()
        for chunk in _chunks([u.bytes for u in uuids]):
            marks = ",".join("?" * len(chunk))
            cursor.execute(f"SELECT {column} FROM {table} WHERE {column} IN ({marks})", chunk)
            found.update(UUID(bytes=row[0]) for row in cursor.fetchall())
        return found

    def insert(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows given as tuples in the order of `columns`."""
        cursor = driver_cursor(connection)
        row_marks = "(" + ",".join("?" * len(columns)) + ")"
        for chunk in _chunks(rows):
            values = [value.bytes if type(value) is UUID else value for row in chunk for value in row]
            marks = ",".join([row_marks] * len(chunk))
            cursor.execute(f"INSERT INTO {table} ({','.join(columns)}) VALUES {marks}", values)

    def insert_timings(self, connection: Connection, table: str, timings: TimingColumns) -> None:
        """Insert by one statement over a nested JSON array, one inner array a run."""
        if timings.operator_id.max() >= MAX_PACKED_OPERATOR:
            values = (*timings.run_and_position(), timings.operator_id, timings.latency_ns)
            rows = list(zip(*(column.tolist() for column in values), strict=True))
            self.insert(connection, table, TIMING_COLUMNS, rows)
        else:
            self._insert_packed(connection, table, timings)
        if timings.ran_on:
            run_id, position = timings.run_and_position()
            moved = [(int(run_id[at]), int(position[at]), target) for at, target in timings.ran_on]
            driver_cursor(connection).execute(
                f"UPDATE {table} SET ran_on = row.value ->> 2 FROM json_each(?) AS row"
                " WHERE run_id = row.value ->> 0 AND position = row.value ->> 1",
                (_json(moved),),
            )

    def _insert_packed(self, connection: Connection, table: str, timings: TimingColumns) -> None:
        packed = (timings.operator_id << LATENCY_BITS | timings.latency_ns).tolist()
        nested: list[list[int]] = []
        start = 0
        for length in timings.lengths:
            nested.append(packed[start : start + length])
            start += length
        latency_mask = (1 << LATENCY_BITS) - 1
        driver_cursor(connection).execute(
            f"INSERT INTO {table} (run_id, position, operator_id, latency_ns)"
            f" SELECT ? + run.key, row.key, row.value >> {LATENCY_BITS}, row.value & {latency_mask}"
            " FROM json_each(?) AS run, json_each(run.value) AS row",
            (timings.first_run_id, _json(nested)),
        )

    def update_devices(self, connection: Connection, changes: Sequence[DeviceChange]) -> None:
        """Book what devices have sent."""
        fields = ", ".join(f"value ->> '{name}' AS {name}" for name in DeviceChange.__annotations__)
        statement = device_update(f"SELECT {fields} FROM json_each(?)")
        driver_cursor(connection).execute(statement, (_json(changes),))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size
