"""What it takes seconds to fill a database with is done once by each worker, and copied from then on."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from app.store.engine import Database
from app.store.tables import metadata

T = TypeVar("T")


class Snapshots:
    """Remembers the content of databases by name, and what filling them returned."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._returned: dict[tuple[str, str], object] = {}

    def fill(self, database: Database, name: str, fill: Callable[[], T]) -> T:
        """Give an empty database the content that `fill` makes, and return what it returned the first time.

        `name` stands for what `fill` does, in letters and underscores.
        """
        assert re.fullmatch("[a-z_]+", name)
        key = (database.dialect, name)
        if key not in self._returned:
            returned = fill()
            (self._keep_sqlite if database.dialect == "sqlite" else _keep_postgres)(database, name)
            self._returned[key] = returned
            return returned
        (self._restore_sqlite if database.dialect == "sqlite" else _restore_postgres)(database, name)
        return self._returned[key]  # type: ignore[return-value]

    def _keep_sqlite(self, database: Database, name: str) -> None:
        _copy_sqlite(Path(database.url.database or ""), self._folder / f"{name}.db")

    def _restore_sqlite(self, database: Database, name: str) -> None:
        _copy_sqlite(self._folder / f"{name}.db", Path(database.url.database or ""))


def _copy_sqlite(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _keep_postgres(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
        for table in metadata.sorted_tables:
            connection.execute(text(f"CREATE TABLE {name}.{table.name} AS TABLE {table.name}"))


def _restore_postgres(database: Database, name: str) -> None:
    with database.write() as connection:
        for table in metadata.sorted_tables:
            connection.execute(text(f"INSERT INTO {table.name} SELECT * FROM {name}.{table.name}"))
            if "id" in table.columns:
                connection.execute(
                    text(
                        f"SELECT setval(sequence, newest) FROM (SELECT max(id) AS newest FROM {table.name}),"
                        f" pg_get_serial_sequence('{table.name}', 'id') AS sequence"
                        " WHERE sequence IS NOT NULL AND newest IS NOT NULL"
                    )
                )
