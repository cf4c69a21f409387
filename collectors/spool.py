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

from collectors.spool_file import SpoolFile, is_full

CAP_BYTES = 256 * 1024 * 1024
DEAD_LETTERS_KEPT = 1000
SURVIVAL = 0.5
"""The chance of each record to stay when room is made."""
THINNED_AT_ONCE = 32
THINNINGS_AT_ONCE = 4
HELD_RECORDS = 500
STORED_BYTES = "stored_bytes"

Kind = Literal["run", "transfer"]


class Record(msgspec.Struct, frozen=True):
    """A spooled run or transfer: its JSON body without operators, and where those are."""

    id: int
    kind: Kind
    device: int
    layout: int | None
    body: str
    inclusion_probability: float


class Layout(msgspec.Struct, frozen=True):
    """A sequence of operators as a JSON array, under a digest of it."""

    digest: str
    operators: str


class NewRecord(msgspec.Struct, frozen=True):
    """A record to be spooled, with the operators of a run that lists them."""

    kind: Kind
    body: str
    layout: Layout | None = None


class Held(msgspec.Struct, frozen=True):
    """A record that is not on disk yet."""

    device: int
    record: NewRecord
    inclusion_probability: float


class Spool(SpoolFile):
    """What waits to be uploaded; one connection, for one thread."""

    def __init__(self, path: Path, cap_bytes: int = CAP_BYTES, rng: random.Random | None = None) -> None:
        super().__init__(path)
        self._cap_bytes = cap_bytes
        self._rng = rng or random.Random()
        self._held: list[Held] = []
        self._held_dropped = 0
        self._admission = 1.0

    # --- the agent's side -------------------------------------------------------------------------------

    def add_device(self, body: str) -> int:
        """Remember a device section and return its number."""
        statement = "INSERT OR IGNORE INTO device (body) VALUES (?)"
        self._write_or_refuse(lambda: self._execute(statement, (body,)))
        return int(self._db.execute("SELECT id FROM device WHERE body = ?", (body,)).fetchone()[0])

    def add_model(self, digest: str, path: Path) -> None:
        """Have a model file offered to the server, which may have lost it since the last time."""
        statement = (
            "INSERT INTO model (digest, path) VALUES (?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET path = excluded.path, state = 'new'"
        )
        self._write_or_refuse(lambda: self._execute(statement, (digest, str(path))))

    def add(self, device: int, records: Sequence[NewRecord]) -> None:
        """Spool records in one transaction.

        Where neither the disk nor the cap has room, a random share of all records goes; while nothing can
        be written at all, some are held in memory.
        """
        self._admit(device, records)
        try:
            self._insert_held()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            self._make_room_on_disk()
        while self.stored_bytes() > self._cap_bytes:
            self._thin()
            with suppress(sqlite3.OperationalError):  # a full disk has no room to compact the file in
                self._db.execute("VACUUM")

    def _admit(self, device: int, records: Sequence[NewRecord]) -> None:
        """Take new records in with the chance that the old ones had to stay, so that no time is favoured."""
        if not self.pending():
            self._admission = 1.0
        for record in records:
            if self._rng.random() < self._admission:
                self._held.append(Held(device, record, self._admission))
            else:
                self._held_dropped += 1

    def forget_unused(self) -> None:
        """Drop devices and layouts that no waiting record refers to."""
        self._write_or_refuse(self._forget_unused)

    def _forget_unused(self) -> None:
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
        self._write(lambda: self._settle(delivered, rejected, now_us))

    def _settle(
        self, delivered: Sequence[Record], rejected: Sequence[tuple[Record, str, str]], now_us: int
    ) -> None:
        self._db.executemany(
            "INSERT INTO dead_letter (kind, body, pointer, detail, rejected_at_us) VALUES (?, ?, ?, ?, ?)",
            [(record.kind, record.body, pointer, detail, now_us) for record, pointer, detail in rejected],
        )
        self._db.execute(
            "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?", (DEAD_LETTERS_KEPT,)
        )
        for record in (*delivered, *(record for record, _, _ in rejected)):
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
        """Toss a coin for every record: it stays with chance `SURVIVAL`.

        In small transactions, each complete in itself: a large one would need much room in the log.
        """
        ids = [row[0] for row in self._db.execute("SELECT id FROM record ORDER BY id")]
        for start in range(0, len(ids), THINNED_AT_ONCE):
            chunk = ids[start : start + THINNED_AT_ONCE]
            self._write(lambda chunk=chunk: self._thin_chunk(chunk))  # type: ignore[misc]
        self._admission *= SURVIVAL

    def _thin_chunk(self, ids: Sequence[int]) -> None:
        dropped = 0
        for number in ids:
            if self._rng.random() < SURVIVAL:
                self._db.execute(
                    "UPDATE record SET inclusion_probability = inclusion_probability * ? WHERE id = ?",
                    (SURVIVAL, number),
                )
                continue
            row = self._db.execute("DELETE FROM record WHERE id = ? RETURNING body", (number,)).fetchone()
            if row is not None:
                dropped += 1
                self._count(STORED_BYTES, -len(row[0]))
        self._count("dropped", dropped)

    def _make_room_on_disk(self) -> None:
        """Thin what is stored until the held records fit; if nothing helps, thin those too, and wait."""
        try:
            for _ in range(THINNINGS_AT_ONCE):
                self._thin()
                try:
                    self._insert_held()
                    return
                except sqlite3.OperationalError as error:
                    if not is_full(error):
                        raise
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
        while len(self._held) > HELD_RECORDS:
            kept = [held for held in self._held if self._rng.random() < SURVIVAL]
            self._held_dropped += len(self._held) - len(kept)
            self._held = [
                msgspec.structs.replace(held, inclusion_probability=held.inclusion_probability * SURVIVAL)
                for held in kept
            ]

    # --- helpers ----------------------------------------------------------------------------------------

    def _insert_held(self) -> None:
        with self._transaction():
            self._insert()
        self._held, self._held_dropped = [], 0

    def _insert(self) -> None:
        layouts = {held.record.layout for held in self._held if held.record.layout is not None}
        self._db.executemany(
            "INSERT OR IGNORE INTO layout (digest, operators) VALUES (?, ?)",
            [(layout.digest, layout.operators) for layout in layouts],
        )
        self._db.executemany(
            "INSERT INTO record (kind, device, layout, inclusion_probability, body) "
            "VALUES (?, ?, (SELECT id FROM layout WHERE digest = ?), ?, ?)",
            [
                (
                    held.record.kind,
                    held.device,
                    held.record.layout and held.record.layout.digest,
                    held.inclusion_probability,
                    held.record.body,
                )
                for held in self._held
            ],
        )
        self._count(STORED_BYTES, sum(len(held.record.body) for held in self._held))
        self._count("spooled", len(self._held) + self._held_dropped)
        self._count("dropped", self._held_dropped)
