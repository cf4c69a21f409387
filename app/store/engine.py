"""The database: one engine for SQLite or PostgreSQL, read and write transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError

from app.errors import InvalidRequestError, SocastError

__all__ = ["Connection", "Database", "DatabaseUrlError"]

Dialect = Literal["sqlite", "postgresql"]

BUSY_TIMEOUT_S = 30


class DatabaseUrlError(SocastError):
    """The database URL is not usable; use `sqlite:///FILE` or `postgresql://user@host/name`."""

    title = "Wrong database URL"


class DatabaseUnreachableError(SocastError):
    """The database cannot be opened."""

    title = "Database unreachable"


class Database:
    """One database and its connection pool.

    SQLite runs in WAL mode with foreign keys on; its write transactions begin IMMEDIATE, so that two
    writers wait for each other instead of failing half-way.
    """

    def __init__(self, url: str, *, sqlite_synchronous: str = "FULL") -> None:
        self.url = _parse(url)
        self.dialect: Dialect = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        if self.dialect == "sqlite":
            self.engine = _sqlite_engine(self.url, sqlite_synchronous)
        else:
            self.engine = _postgres_engine(self.url)
        self._writer = self.engine.execution_options(writer=True)

    def connect(self) -> None:
        """Connect once; raise `DatabaseUnreachableError` with the reason when that fails."""
        try:
            with self.read():
                pass
        except DBAPIError as error:
            place = self.url.render_as_string(hide_password=True)
            raise DatabaseUnreachableError(f"Cannot open {place}: {error.orig}") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction that sees one state of the database."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            yield connection
            transaction.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction that commits at the end, or rolls back on an error."""
        with self._writer.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError as error:
        raise DatabaseUrlError from error
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise DatabaseUrlError("SQLite needs a file, for example `sqlite:///socast.db`.")
        return url
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise DatabaseUrlError


def _sqlite_engine(url: URL, synchronous: str) -> Engine:
    assert url.database is not None
    folder = Path(url.database).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnreachableError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "cached_statements": 256})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401
        # The driver's own implicit BEGIN would come too late and never be IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -65536")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("writer", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres_engine(url: URL) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=32, pool_pre_ping=True)

    @event.listens_for(engine, "handle_error")
    def explain(failure: ExceptionContext) -> None:
        # PostgreSQL's texts cannot hold NUL, SQLite's can: whoever asks for one is told the same way.
        if "NUL (0x00)" in str(failure.original_exception):
            raise InvalidRequestError("A text must not hold the character NUL.")

    return engine
