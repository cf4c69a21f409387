"""Open the database that the settings name."""

from app.errors import UnavailableError
from app.services.health import readiness_fault
from app.settings import Settings
from app.store import migrate
from app.store.engine import Database


def open_unmigrated(url: str | None = None) -> Database:
    """Open the database of the environment, or the one at `url`, whatever its schema."""
    return _open(_settings(url))


def open_for_command(url: str | None = None) -> Database:
    """Open the database of the environment, or the one at `url`, migrated as `open_migrated` does."""
    return open_migrated(_settings(url))


def open_migrated(settings: Settings) -> Database:
    """Open the database for use; an embedded one migrates itself, a server's must be migrated already."""
    database = _open(settings)
    if database.dialect == "sqlite":
        migrate.upgrade(database)
    else:
        fault = readiness_fault(database)
        if fault is not None:
            database.dispose()
            raise UnavailableError(fault)
    return database


def _settings(url: str | None) -> Settings:
    return Settings.load() if url is None else Settings.load(database=url)


def _open(settings: Settings) -> Database:
    database = Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    database.connect()
    return database
