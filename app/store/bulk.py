"""Many rows at once: the fastest way that each database offers to plain SQL rows."""

import json
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Protocol
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table

from app.store.engine import Dialect

LATENCY_BITS = 40
MAX_OPERATORS = 1 << 22
_LATENCY_MASK = (1 << LATENCY_BITS) - 1

TIMING_COLUMNS = ("run_id", "position", "operator_id", "latency_ns")


class TimingColumns:
    """The timings of runs whose ids follow one another from `first_run_id`.

    `lengths` has one entry a run; `operator_id` and `latency_ns` hold all runs' timings one after another.
    `ran_on` lists (offset into the columns, target id) where an operator ran elsewhere than its run.
    """

    def __init__(
        self,
        first_run_id: int,
        lengths: Sequence[int],
        operator_id: NDArray[np.int64],
        latency_ns: NDArray[np.int64],
        ran_on: Sequence[tuple[int, int]],
    ) -> None:
        self.first_run_id = first_run_id
        self.lengths = lengths
        self.operator_id = operator_id
        self.latency_ns = latency_ns
        self.ran_on = ran_on

    def run_and_position(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each timing the id of its run and its position inside it."""
        lengths = np.asarray(self.lengths, dtype=np.int64)
        run_id = np.repeat(np.arange(len(lengths)) + self.first_run_id, lengths)
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        return run_id, np.arange(len(run_id)) - starts


class Bulk(Protocol):
    """What the writer needs of a database."""

    def known_uuids(
        self, connection: Connection, table: Table, column: str, uuids: Collection[UUID]
    ) -> set[UUID]:
        """Return those of `uuids` that `table` holds already."""
        ...

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows given as tuples in the order of `columns`."""
        ...

    def insert_timings(self, connection: Connection, timings: TimingColumns) -> None:
        """Insert the timings of consecutive runs."""
        ...


def bulk_for(dialect: Dialect) -> Bulk:
    """Return the bulk operations of a database."""
    return SqliteBulk() if dialect == "sqlite" else PostgresBulk()


class SqliteBulk:
    """Few long statements: the driver drops Python's lock for each, so the server answers meanwhile.

    Row by row (`executemany`) the writer would wait for that lock after every row.
    """

    CHUNKS = (128, 16, 1)

    def known_uuids(
        self, connection: Connection, table: Table, column: str, uuids: Collection[UUID]
    ) -> set[UUID]:
        """Return those of `uuids` that `table` holds already."""
        cursor = _cursor(connection)
        found: set[UUID] = set()
        for chunk in _chunks([u.bytes for u in uuids]):
            marks = ",".join("?" * len(chunk))
            cursor.execute(f"SELECT {column} FROM {table.name} WHERE {column} IN ({marks})", chunk)
            found.update(UUID(bytes=row[0]) for row in cursor.fetchall())
        return found

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows given as tuples in the order of `columns`."""
        cursor = _cursor(connection)
        row_marks = "(" + ",".join("?" * len(columns)) + ")"
        for chunk in _chunks(rows):
            values = [value.bytes if type(value) is UUID else value for row in chunk for value in row]
            marks = ",".join([row_marks] * len(chunk))
            cursor.execute(f"INSERT INTO {table.name} ({','.join(columns)}) VALUES {marks}", values)

    def insert_timings(self, connection: Connection, timings: TimingColumns) -> None:
        """Insert by one statement over a nested JSON array, each number packing operator and latency."""
        cursor = _cursor(connection)
        packed = (timings.operator_id << LATENCY_BITS | timings.latency_ns).tolist()
        nested: list[list[int]] = []
        start = 0
        for length in timings.lengths:
            nested.append(packed[start : start + length])
            start += length
        cursor.execute(
            "INSERT INTO timing (run_id, position, operator_id, latency_ns)"
            f" SELECT ? + run.key, row.key, row.value >> {LATENCY_BITS}, row.value & {_LATENCY_MASK}"
            " FROM json_each(?) AS run, json_each(run.value) AS row",
            (timings.first_run_id, msgspec.json.encode(nested)),
        )
        if timings.ran_on:
            run_id, position = timings.run_and_position()
            moved = [(int(run_id[at]), int(position[at]), target) for at, target in timings.ran_on]
            cursor.execute(
                "UPDATE timing SET ran_on = row.value ->> 2 FROM json_each(?) AS row"
                " WHERE run_id = row.value ->> 0 AND position = row.value ->> 1",
                (json.dumps(moved),),
            )


class PostgresBulk:
    """COPY, and for timings its binary form straight from number columns."""

    SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    END = b"\xff\xff"

    def known_uuids(
        self, connection: Connection, table: Table, column: str, uuids: Collection[UUID]
    ) -> set[UUID]:
        """Return those of `uuids` that `table` holds already."""
        cursor = _cursor(connection)
        cursor.execute(f"SELECT {column} FROM {table.name} WHERE {column} = ANY(%s)", (list(uuids),))
        return {row[0] for row in cursor.fetchall()}

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows given as tuples in the order of `columns`."""
        with _cursor(connection).copy(f"COPY {table.name} ({','.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def insert_timings(self, connection: Connection, timings: TimingColumns) -> None:
        """Copy the rows without `ran_on` first, then the few with it."""
        run_id, position = timings.run_and_position()
        values = (run_id, position, timings.operator_id, timings.latency_ns)
        target = np.zeros(len(run_id), dtype=np.int64)
        for at, key in timings.ran_on:
            target[at] = key
        moved = target > 0
        self._copy(connection, TIMING_COLUMNS, [column[~moved] for column in values])
        if timings.ran_on:
            self._copy(
                connection, (*TIMING_COLUMNS, "ran_on"), [column[moved] for column in (*values, target)]
            )

    WIDTHS: ClassVar = {"run_id": 8, "position": 4, "operator_id": 4, "latency_ns": 8, "ran_on": 2}

    def _copy(
        self, connection: Connection, names: Sequence[str], columns: Sequence[NDArray[np.int64]]
    ) -> None:
        if len(columns[0]) == 0:
            return
        layout: list[tuple[str, str]] = [("fields", ">i2")]
        for name in names:
            layout += [(f"{name}_size", ">i4"), (name, f">i{self.WIDTHS[name]}")]
        rows = np.empty(len(columns[0]), dtype=layout)
        rows["fields"] = len(names)
        for name, column in zip(names, columns, strict=True):
            rows[f"{name}_size"] = self.WIDTHS[name]
            rows[name] = column
        statement = f"COPY timing ({','.join(names)}) FROM STDIN (FORMAT BINARY)"
        with _cursor(connection).copy(statement) as copy:
            copy.write(self.SIGNATURE + rows.tobytes() + self.END)


def _cursor(connection: Connection) -> Any:  # noqa: ANN401
    """Return a cursor of the driver itself, inside the transaction of `connection`."""
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver.cursor()


def _chunks(rows: Sequence[Any]) -> list[Sequence[Any]]:
    """Cut rows into few sizes, so that the driver's cache of prepared statements serves them all."""
    chunks: list[Sequence[Any]] = []
    start = 0
    for size in SqliteBulk.CHUNKS:
        while len(rows) - start >= size:
            chunks.append(rows[start : start + size])
            start += size
    return chunks
