"""Versions of predictors: look at them, pin one, take one back."""

from app.store import journal, versions
from app.store.engine import Database
from app.store.journal import Kind
from app.store.versions import VersionInfo


def list_versions(database: Database) -> list[VersionInfo]:
    """Return all versions, newest first."""
    with database.read() as connection:
        return versions.list_versions(connection)


def get(database: Database, version_id: int) -> VersionInfo:
    """Return one version; raise `NotFoundError`."""
    with database.read() as connection:
        return versions.get(connection, version_id)


def pin(database: Database, version_id: int) -> VersionInfo:
    """Make a version serve until another is pinned or it is rolled back; raise `NotFoundError`."""
    with database.write() as connection:
        versions.pin(connection, version_id)
        info = versions.get(connection, version_id)
        journal.changed_by_hand(connection, Kind.PIN, info.key, info.id, info.digest)
        return info


def roll_back(database: Database, version_id: int) -> VersionInfo:
    """Withdraw a version; return the one that serves instead. Raise `NotFoundError`, `ConflictError`."""
    with database.write() as connection:
        instead = versions.roll_back(connection, version_id)
        info = versions.get(connection, version_id)
        journal.changed_by_hand(connection, Kind.ROLLBACK, info.key, info.id, info.digest)
        return versions.get(connection, instead.id)
