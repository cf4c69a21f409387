"""PostgreSQL's partitions of `context`, `run` and `timing`: ranges of the run id (time of receipt)."""

from sqlalchemy import Connection, text

PARTITIONED = {"context": "id", "run": "id", "timing": "run_id"}
DAY_US = 86_400_000_000


class Partitions:
    """Creates the partition that an id falls into, and the next one ahead of its time."""

    def __init__(self, days: int) -> None:
        self.width_us = days * DAY_US
        self._known: set[int] = set()

    def start_of(self, run_id: int) -> int:
        """Return the first id of the partition that holds `run_id`."""
        return run_id - run_id % self.width_us

    def ensure(self, connection: Connection, run_id: int) -> None:
        """Make sure that the partition of `run_id` and the one after it exist."""
        start = self.start_of(run_id)
        if start in self._known:
            return
        for first in (start, start + self.width_us):
            for table in PARTITIONED:
                _create(connection, table, first, first + self.width_us)
        self._known.add(start)

    def forget(self) -> None:
        """Forget what was created, after a rollback."""
        self._known.clear()


def _create(connection: Connection, table: str, first: int, end: int) -> None:
    """Create one partition unless its ids are covered already (perhaps by one of another width)."""
    covered = 0
    for low, high in bounds(connection, table).values():
        if low <= first < high:
            covered = high
            break
    if covered >= end:
        return
    first = max(first, covered)
    connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {table}_{first} PARTITION OF {table}"
            f" FOR VALUES FROM ({first}) TO ({end})"
        )
    )


def bounds(connection: Connection, table: str) -> dict[str, tuple[int, int]]:
    """Return name → (first id, end) of each partition of `table`."""
    rows = connection.execute(
        text(
            "SELECT child.relname, pg_get_expr(child.relpartbound, child.oid) FROM pg_inherits"
            " JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = CAST(:table AS regclass)"
        ),
        {"table": table},
    )
    found = {}
    for name, bound in rows:
        low, high = (int(part.split("'")[1]) for part in bound.split(" TO "))
        found[name] = (low, high)
    return found
