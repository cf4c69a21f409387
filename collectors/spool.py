"""The spool: everything measured goes into a small SQLite file first and leaves it when the server has it.

Two processes share the file: the agent adds, the uploader takes away. Nothing is ever kept back by choice:
when the spool reaches its cap, or the disk is full, each stored record goes or stays by the toss of a coin;
those that stay carry the product of their chances as `inclusion_probability`, those that went are counted.
"""

import random
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from collectors.errors import CollectorError

CAP_BYTES = 256 * 1024 * 1024
BALLAST_BYTES = 2 * 1024 * 1024
"""Given back to a full disk, so that SQLite has room to delete in."""
DEAD_LETTERS_KEPT = 1000
SURVIVAL = 0.5
"""The chance of each record to stay when room is made."""
BUSY_TIMEOUT_S = 30.0
CACHE_KIB = 512
STORED_BYTES = "stored_bytes"

Kind = Literal["run", "transfer"]

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


class Record(msgspec.Struct, frozen=True):
    """A spooled run or transfer: its JSON body without operators, and where those are."""

    id: int
    kind: Kind
    device: int
    layout: int | None
    body: str
    inclusion_probability: float


class NewRecord(msgspec.Struct, frozen=True):
    """A record to be spooled; `layout` is the digest of a layout that was added before."""

    kind: Kind
    body: str
    layout: str | None = None


class SpoolError(CollectorError):
    """The spool cannot be used; name another file with --spool."""


class Spool:
    """One connection to a spool file, for one thread."""

    def __init__(self, path: Path, cap_bytes: int = CAP_BYTES, rng: random.Random | None = None) -> None:
        self._cap_bytes = cap_bytes
        self._rng = rng or random.Random()
        self._ballast = _ballast(path)
        self._reported_drops = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"{path}: {error}; name another file with --spool") from error
        self._restore_ballast()

    def close(self) -> None:
        """Close the connection; what is spooled stays."""
        self._db.close()

    # --- the agent's side -------------------------------------------------------------------------------

    def add_device(self, body: str) -> int:
        """Remember a device section and return its number."""
        return self._remember("device", "body", (body,))

    def add_layout(self, digest: str, operators: str) -> None:
        """Remember a sequence of operators (a JSON array) under its digest."""
        self._remember("layout", "digest, operators", (digest, operators))

    def add_model(self, digest: str, path: Path) -> None:
        """Have a model file offered to the server, which may have lost it since the last time."""
        self._db.execute(
            "INSERT INTO model (digest, path) VALUES (?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET path = excluded.path, state = 'new'",
            (digest, str(path)),
        )

    def add(self, device: int, records: Sequence[NewRecord]) -> int:
        """Spool records in one transaction; return how many were dropped, old or new, to find room."""
        dropped_before = self.count("dropped")
        for _ in range(2):
            try:
                self._insert(device, records)
                break
            except sqlite3.OperationalError as error:
                if not _is_full(error):
                    raise
                self._make_room_on_disk()
        else:
            return self._drop_new(records)
        while self.stored_bytes() > self._cap_bytes:
            self._thin()
            self._db.execute("VACUUM")
        return self.count("dropped") - dropped_before

    def forget_unused(self) -> None:
        """Drop devices and layouts that no waiting record refers to."""
        with self._transaction():
            self._db.execute(
                "DELETE FROM layout WHERE id NOT IN (SELECT layout FROM record WHERE layout IS NOT NULL)"
            )
            self._db.execute("DELETE FROM device WHERE id NOT IN (SELECT device FROM record)")

    # --- the uploader's side ----------------------------------------------------------------------------

    def oldest(self, limit: int, size_bytes: int) -> list[Record]:
        """Return the oldest records of one device, at least one if there is any, up to a total size."""
        rows = self._db.execute(
            "SELECT id, kind, device, layout, body, inclusion_probability FROM record "
            "WHERE device = (SELECT device FROM record ORDER BY id LIMIT 1) ORDER BY id LIMIT ?",
            (limit,),
        )
        records: list[Record] = []
        total = 0
        for row in rows:
            record = Record(*row)
            total += len(record.body)
            if records and total > size_bytes:
                break
            records.append(record)
        return records

    def device(self, number: int) -> str:
        """Return a device section by number."""
        return str(self._db.execute("SELECT body FROM device WHERE id = ?", (number,)).fetchone()[0])

    def layout(self, number: int) -> str:
        """Return a sequence of operators by number."""
        return str(self._db.execute("SELECT operators FROM layout WHERE id = ?", (number,)).fetchone()[0])

    def settle(self, delivered: Iterable[Record], rejected: Sequence[tuple[Record, str, str]] = ()) -> None:
        """Take delivered records out, and set rejected ones (with pointer and detail) aside."""
        delivered = list(delivered)
        now_us = time.time_ns() // 1000
        with self._transaction():
            self._db.executemany(
                "INSERT INTO dead_letter (kind, body, pointer, detail, rejected_at_us) "
                "VALUES (?, ?, ?, ?, ?)",
                [(r.kind, r.body, pointer, detail, now_us) for r, pointer, detail in rejected],
            )
            self._db.execute(
                "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?",
                (DEAD_LETTERS_KEPT,),
            )
            gone = [*delivered, *(record for record, _, _ in rejected)]
            for record in gone:
                if self._db.execute("DELETE FROM record WHERE id = ?", (record.id,)).rowcount:
                    self._count(STORED_BYTES, -len(record.body))
            self._count("uploaded", len(delivered))
            self._count("rejected", len(rejected))

    def next_model(self) -> tuple[str, Path] | None:
        """Return digest and path of a model that was not offered to the server yet."""
        row = self._db.execute("SELECT digest, path FROM model WHERE state = 'new' LIMIT 1").fetchone()
        return None if row is None else (row[0], Path(row[1]))

    def settle_model(self, digest: str, state: str) -> None:
        """Book what became of a model: `known` to the server, or the reason why not."""
        self._db.execute("UPDATE model SET state = ? WHERE digest = ?", (state, digest))

    # --- for both ---------------------------------------------------------------------------------------

    def count(self, name: str) -> int:
        """Return a counter: `spooled`, `uploaded`, `rejected`, `dropped`, `retries`."""
        row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def increase(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self._count(name, by)

    def note(self, name: str, text: str | None) -> None:
        """Leave a text for the other side, such as the `last_error` of an upload."""
        self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, text))

    def noted(self, name: str) -> str | None:
        """Return a text that was left, none where there is none."""
        row = self._db.execute("SELECT text FROM note WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def pending(self) -> int:
        """Return how many records wait to be uploaded."""
        return int(self._db.execute("SELECT count(*) FROM record").fetchone()[0])

    def stored_bytes(self) -> int:
        """Return the size of all waiting records."""
        return self.count(STORED_BYTES)

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what the server rejected, oldest first."""
        rows = self._db.execute(
            "SELECT kind, body, pointer, detail, rejected_at_us FROM dead_letter ORDER BY id"
        )
        names = ("kind", "body", "pointer", "detail", "rejected_at_us")
        return [dict(zip(names, row, strict=True)) for row in rows]

    # --- making room ------------------------------------------------------------------------------------

    def _thin(self) -> None:
        """Toss a coin for every record: it stays with chance `SURVIVAL`."""
        with self._transaction():
            ids = [row[0] for row in self._db.execute("SELECT id FROM record")]
            gone = [(number,) for number in ids if self._rng.random() >= SURVIVAL]
            self._db.executemany("DELETE FROM record WHERE id = ?", gone)
            self._db.execute(
                "UPDATE record SET inclusion_probability = inclusion_probability * ?", (SURVIVAL,)
            )
            self._count("dropped", len(gone))
            (left,) = self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM record").fetchone()
            self._count(STORED_BYTES, left - self.stored_bytes())

    def _make_room_on_disk(self) -> None:
        self._ballast.unlink(missing_ok=True)
        with suppress(sqlite3.OperationalError):
            self._thin()
            self._db.execute("PRAGMA wal_checkpoint(RESTART)")  # the log's own space is written over next
        self._restore_ballast()

    def _drop_new(self, records: Sequence[NewRecord]) -> int:
        """Nothing can be written at all: these records are lost, and counted as soon as counting works."""
        self._reported_drops += len(records)
        return len(records)

    def _restore_ballast(self) -> None:
        if not self._ballast.exists():
            try:
                self._ballast.write_bytes(b"\0" * BALLAST_BYTES)
            except OSError:
                self._ballast.unlink(missing_ok=True)

    # --- helpers ----------------------------------------------------------------------------------------

    def _insert(self, device: int, records: Sequence[NewRecord]) -> None:
        with self._transaction():
            self._db.executemany(
                "INSERT INTO record (kind, device, layout, body) "
                "VALUES (?, ?, (SELECT id FROM layout WHERE digest = ?), ?)",
                [(r.kind, device, r.layout, r.body) for r in records],
            )
            self._count(STORED_BYTES, sum(len(r.body) for r in records))
            self._count("spooled", len(records))
            self._count("dropped", self._reported_drops)
            self._count("spooled", self._reported_drops)
        self._reported_drops = 0

    def _remember(self, table: str, columns: str, values: tuple[str, ...]) -> int:
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608
        key = columns.partition(",")[0]
        row = self._db.execute(f"SELECT id FROM {table} WHERE {key} = ?", values[:1]).fetchone()  # noqa: S608
        return int(row[0])

    def _count(self, name: str, by: int) -> None:
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )

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


def _is_full(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
