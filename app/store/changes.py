"""Has anything been committed since? A cheap answer, so that what was read may be used again until then."""

import sqlite3
import threading
from typing import Protocol

from app.store.engine import Database


class Changes(Protocol):
    """Watches a database for commits of any process."""

    def mark(self) -> object:
        """Return a mark that equals an earlier one only if nothing was committed in between."""


class SqliteChanges:
    """Asks SQLite's `data_version`, which takes microseconds and never waits for a writer in WAL mode."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()

    def mark(self) -> object:
        """Return the number that every commit of another connection moves."""
        with self._lock:
            return self._connection.execute("PRAGMA data_version").fetchone()[0]


class UnknownChanges:
    """Knows of no cheap answer, so that something may always have changed."""

    def mark(self) -> object:
        """Return a mark that equals no other."""
        return object()


def watch(database: Database) -> Changes:
    """Return what watches this database; a server's would need a query, so it is taken to change always."""
    if database.dialect == "sqlite":
        assert database.url.database is not None
        return SqliteChanges(database.url.database)
    return UnknownChanges()
