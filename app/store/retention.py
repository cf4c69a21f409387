"""Forget old measurements, and check that what is kept is whole.

Age is time of receipt, which is what run ids are made of. On PostgreSQL whole partitions are dropped; on
SQLite rows are deleted in slices, so that the server can go on writing in between.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text, update

from app.store.engine import Database, Dialect
from app.store.partitions import PARTITIONED, partitions
from app.store.tables import device, processor, run, timing

SLICE_RUNS = 500


@dataclass(slots=True)
class Pruned:
    """How many rows went."""

    runs: int = 0
    timings: int = 0
    transfers: int = 0


def prune(database: Database, before_us: int) -> Pruned:
    """Remove what was received before `before_us`; on PostgreSQL up to the last whole partition before it."""
    pruned = Pruned()
    if database.dialect == "sqlite":
        while _delete_slice(database, before_us, pruned):
            pass
    else:
        _drop_partitions(database, before_us, pruned)
    with database.write() as connection:
        found = connection.execute(text("DELETE FROM transfer WHERE id < :before"), {"before": before_us})
        pruned.transfers = found.rowcount
        # What outcomes rest on was copied into them.
        connection.execute(text("DELETE FROM forecast WHERE answered_at_us < :before"), {"before": before_us})
    return pruned


def _delete_slice(database: Database, before_us: int, pruned: Pruned) -> bool:
    """Delete the oldest few runs; return whether there may be more."""
    with database.write() as connection:
        end = connection.scalar(
            select(run.c.id).where(run.c.id < before_us).order_by(run.c.id).offset(SLICE_RUNS).limit(1)
        )
        _forget_range(connection, before_us if end is None else end, pruned)
        for statement in (
            "DELETE FROM run_identity WHERE run_uuid IN (SELECT run_uuid FROM run WHERE id < :end)",
            "DELETE FROM timing WHERE run_id < :end",
            # A batch shares contexts between its runs: keep those that younger runs still point to.
            "DELETE FROM context WHERE id < :end AND id NOT IN"
            " (SELECT context_id FROM run WHERE id >= :end AND context_id < :end)",
            "DELETE FROM run WHERE id < :end",
        ):
            connection.execute(text(statement), {"end": before_us if end is None else end})
    return end is not None


def _drop_partitions(database: Database, before_us: int, pruned: Pruned) -> None:
    """Drop every partition that ends at or before `before_us`."""
    with database.read() as connection:
        old = [partition for partition in partitions(connection) if partition.high <= before_us]
    for partition in old:
        with database.write() as connection:
            _forget_range(connection, partition.high, pruned)
            connection.execute(text("DELETE FROM run_identity WHERE run_id < :end"), {"end": partition.high})
            for table in PARTITIONED:
                connection.execute(text(f"DROP TABLE {partition.table(table)}"))


def _forget_range(connection: Connection, end: int, pruned: Pruned) -> None:
    """Take what is below `end` off the devices' counts."""
    owner = select(processor.c.device, func.count()).join(run, run.c.processor_id == processor.c.id)
    below = owner.where(run.c.id < end).group_by(processor.c.device)
    runs = {row[0]: row[1] for row in connection.execute(below)}
    with_timings = below.join(timing, timing.c.run_id == run.c.id).where(timing.c.run_id < end)
    timings = {row[0]: row[1] for row in connection.execute(with_timings)}
    for key, count in runs.items():
        connection.execute(
            update(device)
            .where(device.c.id == key)
            .values(
                run_count=device.c.run_count - count,
                timing_count=device.c.timing_count - timings.get(key, 0),
            )
        )
    pruned.runs += sum(runs.values())
    pruned.timings += sum(timings.values())


def inconsistencies(connection: Connection, dialect: Dialect) -> list[str]:
    """Return what contradicts itself: damaged pages, orphans, counts that do not add up."""
    faults: list[str] = []
    if dialect == "sqlite":
        damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if damage != "ok":
            faults.append(f"damaged file ({damage})")
    for what, statement in _ORPHANS.items():
        count = connection.scalar(text(statement))
        if count:
            faults.append(f"{count} {what}")
    return faults


_ORPHANS = {
    "timings without a run": (
        "SELECT count(*) FROM timing WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = timing.run_id)"
    ),
    "timings of an unknown operator": (
        "SELECT count(*) FROM timing WHERE operator_id NOT IN (SELECT id FROM operator)"
    ),
    "runs without a context": (
        "SELECT count(*) FROM run WHERE NOT EXISTS (SELECT 1 FROM context WHERE context.id = context_id)"
    ),
    "runs without an identity": (
        "SELECT count(*) FROM run WHERE NOT EXISTS"
        " (SELECT 1 FROM run_identity AS known WHERE known.run_uuid = run.run_uuid AND known.run_id = run.id)"
    ),
    "identities without a run": (
        "SELECT count(*) FROM run_identity WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = run_id)"
    ),
    "devices whose counts are wrong": (
        "SELECT count(*) FROM device WHERE run_count <> (SELECT count(*) FROM run JOIN processor"
        " ON processor.id = run.processor_id WHERE processor.device = device.id)"
    ),
}
