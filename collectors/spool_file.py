"""The file that a spool lives in: its tables, safe writing on a full disk, counters and notes."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from collectors.errors import CollectorError

BUSY_TIMEOUT_S = 30.0
CACHE_KIB = 512
LOG_PAGES = 100
"""Pages in the write-ahead log before it is written over: what it holds may need room once more."""
BALLAST_BYTES = 2 * 1024 * 1024
"""Given back to a full disk, so that SQLite has room to delete in."""
BALLAST_STEP_BYTES = 64 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS device (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS layout (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, operators TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, device INTEGER NOT NULL REFERENCES device,
    layout INTEGER REFERENCES layout, inclusion_probability REAL NOT NULL DEFAULT 1, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS record_device ON record (device);
CREATE INDEX IF NOT EXISTS record_layout ON record (layout);
CREATE TABLE IF NOT EXISTS dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body TEXT NOT NULL, pointer TEXT NOT NULL,
    detail TEXT NOT NULL, rejected_at_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS model (
    digest TEXT PRIMARY KEY, path TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'new');
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, text TEXT);
"""


class SpoolError(CollectorError):
    """The spool cannot be used; name another file with --spool."""


class SpoolFile:
    """One connection to a spool file, for one thread."""

    def __init__(self, path: Path) -> None:
        self._ballast = _ballast(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"{path}: {error}; name another file with --spool") from error
        self._restore_ballast()

    def close(self) -> None:
        """Close the connection; what is spooled stays."""
        self._db.close()

    def count(self, name: str) -> int:
        """Return a counter: `spooled`, `uploaded`, `rejected`, `dropped`, `retries`."""
        row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def increase(self, name: str, by: int = 1) -> None:
        """Add to a counter, if there is any room."""
        self._write_if_possible(lambda: self._count(name, by))

    def note(self, name: str, text: str | None) -> None:
        """Leave a text for the other side, such as the `last_error` of an upload, if there is any room."""
        statement = "INSERT OR REPLACE INTO note VALUES (?, ?)"
        self._write_if_possible(lambda: self._execute(statement, (name, text)))

    def noted(self, name: str) -> str | None:
        """Return a text that was left, none where there is none."""
        row = self._db.execute("SELECT text FROM note WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def _count(self, name: str, by: int) -> None:
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )

    def _write(self, action: Callable[[], None]) -> None:
        """Do something that makes room in a transaction; on a full disk once more, with the ballast's room.

        Raises:
            sqlite3.OperationalError: that was not enough.

        """
        try:
            with self._transaction():
                action()
            return
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
        self._ballast.unlink(missing_ok=True)
        try:
            self._db.execute("PRAGMA wal_checkpoint(RESTART)")  # the log's own space is written over next
            with self._transaction():
                action()
            self._db.execute("PRAGMA wal_checkpoint(RESTART)")
        finally:
            self._restore_ballast()

    def _write_if_possible(self, action: Callable[[], None]) -> None:
        try:
            self._write(action)
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise

    def _write_or_refuse(self, action: Callable[[], None]) -> None:
        """Do something without which the spool is of no use.

        Raises:
            SpoolError: there is no room for it.

        """
        try:
            self._write(action)
        except sqlite3.OperationalError as error:
            raise SpoolError(f"{error}: make room, or name another file with --spool") from error

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        self._db.execute(statement, values)

    def _restore_ballast(self) -> None:
        """Take the ballast's room back, or as much of it as there is."""
        if not self._ballast.exists():
            with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
                for _ in range(BALLAST_BYTES // BALLAST_STEP_BYTES):
                    file.write(b"\0" * BALLAST_STEP_BYTES)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


def remove_spool(path: Path) -> None:
    """Remove a spool that nobody has open, with all that belongs to it."""
    for file in (path, _ballast(path)):
        file.unlink(missing_ok=True)


def _ballast(path: Path) -> Path:
    return path.with_name(path.name + ".ballast")


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK on any error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.OperationalError:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if kind is None:
                raise


def is_full(error: sqlite3.OperationalError) -> bool:
    """Tell whether the disk, or the database itself, has no room left."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
