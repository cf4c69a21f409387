"""Take measurements in: many requests share one transaction, each is answered when its rows are on disk."""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from app.errors import Fault, SocastError, TooManyRequestsError, UnavailableError
from app.observability import (
    INGEST_CLAMPED,
    INGEST_GROUP_BATCHES,
    INGEST_QUEUE_BYTES,
    INGEST_ROWS,
    INGEST_SECONDS,
)
from app.schemas.measurements import Counts, MeasurementReceipt, Rejection
from app.services.keys import Principal
from app.services.prepare import prepare
from app.store.batch import Batch, Stored
from app.store.engine import Database
from app.store.measurements import MeasurementWriter

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Submission:
    batches: Sequence[Batch]
    size_bytes: int
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[list[Stored]] = field(init=False)

    def __post_init__(self) -> None:
        self.done = self.loop.create_future()


class Ingest:
    """A bounded queue and the one thread that writes.

    While a transaction is being committed new requests gather; the next transaction takes them all.
    """

    def __init__(self, database: Database, writer: MeasurementWriter, *, queue_bytes: int) -> None:
        self._database = database
        self._writer = writer
        self._queue: queue.SimpleQueue[_Submission | None] = queue.SimpleQueue()
        self._queue_bytes = queue_bytes
        self._waiting_bytes = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def close(self) -> None:
        """Refuse new batches, store those that wait, and stop."""
        self._closed = True
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    async def submit(self, batches: Sequence[Batch], size_bytes: int) -> list[Stored]:
        """Store batches in one transaction and return once it is on disk.

        `size_bytes` is what they weigh in the queue. Raises `TooManyRequestsError` when the queue is full
        and `UnavailableError` when the server stops or the database fails; then nothing was stored.
        """
        if self._closed:
            raise UnavailableError("The server is shutting down.", headers={"Retry-After": "5"})
        if self._waiting_bytes and self._waiting_bytes + size_bytes > self._queue_bytes:
            raise TooManyRequestsError("The write queue is full.", headers={"Retry-After": "1"})
        submission = _Submission(batches, size_bytes, asyncio.get_running_loop())
        self._waiting_bytes += size_bytes
        self._queue.put(submission)
        INGEST_QUEUE_BYTES.set(self._waiting_bytes)
        return await submission.done

    async def take(
        self, bodies: Sequence[bytes], principal: Principal
    ) -> list[MeasurementReceipt | SocastError]:
        """Store the batches of one request in one transaction; return the receipt or the refusal of each."""
        prepared: list[tuple[Batch, list[Fault]] | SocastError] = []
        for body in bodies:
            try:
                batch, faults = prepare(body)
                principal.check_device(batch.device.device_id)
                prepared.append((batch, faults))
            except SocastError as error:
                prepared.append(error)
        batches = [item[0] for item in prepared if not isinstance(item, SocastError)]
        stored = iter(await self.submit(batches, sum(map(len, bodies))) if batches else [])
        return [item if isinstance(item, SocastError) else _receipt(*item, next(stored)) for item in prepared]

    def _run(self) -> None:
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is None:
                break
            group = [first]
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stopping = True
                    break
                group.append(following)
            self._store(group)

    def _store(self, group: list[_Submission]) -> None:
        """Store a group in one transaction; when that fails, each submission by itself."""
        started = time.perf_counter()
        try:
            outcomes: list[list[Stored] | SocastError] = list(self._commit(group))
        except Exception as error:
            self._writer.forget()
            if len(group) > 1:
                log.warning("group_failed", submissions=len(group), error=repr(error))
                for submission in group:
                    self._store([submission])
                return
            log.exception("store_failed", error=repr(error))
            outcomes = [
                UnavailableError(
                    "The database did not store this; nothing was written.", headers={"Retry-After": "5"}
                )
            ]
        INGEST_SECONDS.observe(time.perf_counter() - started)
        INGEST_GROUP_BATCHES.observe(sum(len(s.batches) for s in group))
        _answer(self, group, outcomes)

    def _commit(self, group: list[_Submission]) -> list[list[Stored]]:
        batches = [batch for submission in group for batch in submission.batches]
        with self._database.write() as connection:
            stored = iter(self._writer.store(connection, batches))
        return [[next(stored) for _ in submission.batches] for submission in group]

    def release(self, size_bytes: int) -> None:
        """Give queue space back; on the event loop's thread alone."""
        self._waiting_bytes -= size_bytes
        INGEST_QUEUE_BYTES.set(self._waiting_bytes)


def _receipt(batch: Batch, faults: Sequence[Fault], stored: Stored) -> MeasurementReceipt:
    INGEST_CLAMPED.inc(batch.clamped)
    return MeasurementReceipt(
        batch_id=batch.batch_id,
        accepted=Counts(stored.runs, stored.timings, stored.transfers),
        duplicates=Counts(runs=stored.duplicate_runs, transfers=stored.duplicate_transfers),
        rejected=[Rejection(fault.pointer, fault.detail) for fault in faults],
        clamped=batch.clamped,
    )


def _answer(ingest: Ingest, group: list[_Submission], outcomes: list[list[Stored] | SocastError]) -> None:
    """Resolve all futures of a group with one wake-up of the event loop."""

    def resolve() -> None:
        for submission, outcome in zip(group, outcomes, strict=True):
            ingest.release(submission.size_bytes)
            if submission.done.cancelled():
                continue
            if isinstance(outcome, SocastError):
                submission.done.set_exception(outcome)
                continue
            for stored in outcome:
                INGEST_ROWS.labels("run", "stored").inc(stored.runs)
                INGEST_ROWS.labels("run", "duplicate").inc(stored.duplicate_runs)
                INGEST_ROWS.labels("timing", "stored").inc(stored.timings)
                INGEST_ROWS.labels("transfer", "stored").inc(stored.transfers)
            submission.done.set_result(outcome)

    group[0].loop.call_soon_threadsafe(resolve)
