"""Many rows at once: what the writer asks of a database, each of which has its own fastest way."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

TIMING_COLUMNS = ("run_id", "position", "operator_id", "latency_ns")


@dataclass(frozen=True, slots=True)
class TimingColumns:
    """The timings of runs whose ids follow one another from `first_run_id`.

    `lengths` has one entry a run; `operator_id` and `latency_ns` hold all runs' timings one after another.
    `ran_on` lists (offset into the columns, target id) where an operator ran elsewhere than its run.
    """

    first_run_id: int
    lengths: Sequence[int]
    operator_id: NDArray[np.int64]
    latency_ns: NDArray[np.int64]
    ran_on: Sequence[tuple[int, int]] = ()

    def run_and_position(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each timing the id of its run and its position inside it."""
        lengths = np.asarray(self.lengths, dtype=np.int64)
        run_id = np.repeat(np.arange(len(lengths)) + self.first_run_id, lengths)
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        return run_id, np.arange(len(run_id)) - starts


class DeviceChange(TypedDict):
    """What a device has sent in one transaction; `latest` is its newest context, read at `at_us`."""

    key: int
    now_us: int
    runs: int
    timings: int
    latest: str | None
    at_us: int


def device_update(changes: str) -> str:
    """Return the statement that books `changes`, a query with the columns of `DeviceChange`."""
    return (
        "UPDATE device SET last_seen_at_us = now_us,"
        " run_count = run_count + runs, timing_count = timing_count + timings,"
        " context = CASE WHEN at_us >= coalesce(context_at_us, 0) THEN latest ELSE context END,"
        " context_at_us = CASE WHEN at_us >= coalesce(context_at_us, 0) THEN at_us ELSE context_at_us END"
        f" FROM ({changes}) AS change WHERE device.id = key"
    )


class Bulk(Protocol):
    """What the writer needs of a database; `table` may be a partition."""

    def known_uuids(
        self, connection: Connection, table: str, column: str, uuids: Collection[UUID]
    ) -> set[UUID]:
        """Return those of `uuids` that `table` holds already."""
        ...

    def insert(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows given as tuples in the order of `columns`."""
        ...

    def insert_timings(self, connection: Connection, table: str, timings: TimingColumns) -> None:
        """Insert the timings of consecutive runs."""
        ...

    def update_devices(self, connection: Connection, changes: Sequence[DeviceChange]) -> None:
        """Book what devices have sent."""
        ...


def driver_cursor(connection: Connection) -> Any:  # noqa: ANN401
    """Return a cursor of the driver itself, inside the transaction of `connection`."""
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver.cursor()
