"""Open the database that the settings name."""

from app.errors import UnavailableError
from app.services.health import readiness_fault
from app.settings import Settings
from app.store import migrate
from app.store.engine import Database


def open_unmigrated(url: str | None = None) -> Database:
    """Open the database of the environment, or the one at `url`, whatever its schema."""
    settings = Settings() if url is None else Settings(database=url)
    return Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)


def open_for_command(url: str | None = None) -> Database:
    """Open the database of the environment, or the one at `url`, migrated as `open_migrated` does."""
    return open_migrated(Settings() if url is None else Settings(database=url))


def open_migrated(settings: Settings) -> Database:
    """Open the database for use; an embedded one migrates itself, a server's must be migrated already."""
    database = Database(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    if database.dialect == "sqlite":
        migrate.upgrade(database)
    else:
        fault = readiness_fault(database)
        if fault is not None:
            database.dispose()
            raise UnavailableError(fault)
    return database
