"""Look after the database: bring it up to date, check it, drop what is old."""

import time
from dataclasses import dataclass

from app.errors import SocastError
from app.store import migrate, retention
from app.store.engine import Database


class UnhealthyDatabaseError(SocastError):
    """The database is not as it should be."""

    title = "Unhealthy database"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The schema revision before and after."""

    before: str | None
    after: str


def upgrade(database: Database) -> Upgraded:
    """Apply the missing migrations."""
    with database.read() as connection:
        before = migrate.current(connection)
    migrate.upgrade(database)
    return Upgraded(before, migrate.head())


def check(database: Database) -> str:
    """Return the schema revision, or raise `UnhealthyDatabaseError` with what is wrong."""
    with database.read() as connection:
        revision = migrate.current(connection)
        if revision != migrate.head():
            raise UnhealthyDatabaseError(
                f"The schema is {revision or 'empty'}, not {migrate.head()}: run `socast db upgrade`."
            )
        faults = retention.inconsistencies(connection, database.dialect)
    if faults:
        raise UnhealthyDatabaseError("; ".join(faults) + ".")
    return revision


def prune(database: Database, older_than_s: float) -> retention.Pruned:
    """Drop runs, timings and transfers received more than `older_than_s` seconds ago."""
    return retention.prune(database, int((time.time() - older_than_s) * 1e6))
