"""PostgreSQL's partitions of `context`, `run` and `timing`: ranges of the run id (time of receipt)."""

from typing import NamedTuple

from sqlalchemy import Connection, text

PARTITIONED = ("context", "run", "timing")
DAY_US = 86_400_000_000


class Partition(NamedTuple):
    """Ids from `low` up to, not including, `high`; one table of each kind."""

    low: int
    high: int

    def table(self, name: str) -> str:
        """Return the partition of table `name`: COPY straight into it skips PostgreSQL's routing."""
        return f"{name}_{self.low}"


class Partitions:
    """Finds the partition for new ids, creates it when it is missing, and the next one ahead of its time."""

    def __init__(self, days: int) -> None:
        self._width_us = days * DAY_US
        self._current: Partition | None = None

    def reserve(self, connection: Connection, first_id: int, count: int) -> tuple[int, Partition]:
        """Return where `count` ids from `first_id` on may begin to share a partition, and which."""
        current = self._current
        if current is None or not current.low <= first_id < current.high:
            current = self._current = self._ensure(connection, first_id)
        if first_id + count > current.high:
            return self.reserve(connection, current.high, count)
        return first_id, current

    def forget(self) -> None:
        """Forget what was created, after a rollback."""
        self._current = None

    def _ensure(self, connection: Connection, run_id: int) -> Partition:
        """Return the partition of `run_id`; make sure that it and the one after it exist."""
        existing = partitions(connection)
        current = self._find_or_create(connection, existing, run_id)
        self._find_or_create(connection, existing, current.high)
        return current

    def _find_or_create(self, connection: Connection, existing: list[Partition], run_id: int) -> Partition:
        for partition in existing:
            if partition.low <= run_id < partition.high:
                return partition
        low = run_id - run_id % self._width_us
        # Neighbours may be of another width, from before the setting changed.
        created = Partition(
            max([low, *(p.high for p in existing if p.high <= run_id)]),
            min([low + self._width_us, *(p.low for p in existing if p.low > run_id)]),
        )
        for table in PARTITIONED:
            bounds = f"FROM ({created.low}) TO ({created.high})"
            connection.execute(
                text(f"CREATE TABLE {created.table(table)} PARTITION OF {table} FOR VALUES {bounds}")
            )
        existing.append(created)
        return created


def partitions(connection: Connection) -> list[Partition]:
    """Return the partitions that exist, oldest first."""
    rows = connection.execute(
        text(
            "SELECT pg_get_expr(child.relpartbound, child.oid) FROM pg_inherits"
            " JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = 'run'::regclass"
        )
    )
    # FOR VALUES FROM ('1799798400000000') TO ('1800403200000000')
    return sorted(Partition(*(int(number) for number in row[0].split("'")[1::2])) for row in rows)
