"""Take measurements in: many requests share one transaction, each is answered when its rows are on disk."""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from app.errors import Fault, SocastError, UnavailableError
from app.observability import (
    INGEST_CLAMPED,
    INGEST_GROUP_BATCHES,
    INGEST_HELD_BYTES,
    INGEST_ROWS,
    INGEST_SECONDS,
)
from app.schemas.measurements import Counts, MeasurementReceipt, Rejection
from app.services.budget import Budget, Reservation
from app.services.keys import Principal
from app.services.prepare import prepare
from app.store.batch import Batch, Stored
from app.store.engine import Database
from app.store.measurements import MeasurementWriter

log = structlog.get_logger(__name__)

INLINE_BYTES = 256 * 1024
"""Bodies up to this are decoded at once; larger ones in a thread, so that others are answered meanwhile."""

Prepared = tuple[Batch, list[Fault]]
Outcome = list[Stored] | SocastError


@dataclass(slots=True)
class _Submission:
    batches: Sequence[Batch]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[list[Stored]] = field(init=False)

    def __post_init__(self) -> None:
        self.done = self.loop.create_future()


class Ingest:
    """A queue and the one thread that writes.

    While a transaction is being committed new requests gather; the next transaction takes them all. What
    they hold in memory is bounded: hold a `reservation` of every byte while reading and storing a request.
    """

    def __init__(self, database: Database, writer: MeasurementWriter, *, limit_bytes: int) -> None:
        self._database = database
        self._writer = writer
        self._budget = Budget(limit_bytes)
        self._queue: queue.SimpleQueue[_Submission | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)
        INGEST_HELD_BYTES.set_function(lambda: self._budget.held_bytes)

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def close(self) -> None:
        """Refuse new batches, store those that wait, and stop."""
        self._closed = True
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def reservation(self) -> Reservation:
        """Return what a new request holds in memory: nothing yet."""
        if self._closed:
            raise UnavailableError("The server is shutting down.", headers={"Retry-After": "5"})
        return Reservation(self._budget)

    async def take(
        self, bodies: Sequence[bytes], principal: Principal
    ) -> list[MeasurementReceipt | SocastError]:
        """Store the batches of one request in one transaction; return the receipt or the refusal of each.

        Raises `UnavailableError` when the server stops or the database fails; then nothing was stored.
        """
        if sum(map(len, bodies)) <= INLINE_BYTES:
            prepared = _prepare_all(bodies, principal)
        else:
            prepared = await asyncio.to_thread(_prepare_all, bodies, principal)
        batches = [item[0] for item in prepared if not isinstance(item, SocastError)]
        stored = iter(await self._submit(batches) if batches else [])
        return [item if isinstance(item, SocastError) else _receipt(*item, next(stored)) for item in prepared]

    async def _submit(self, batches: Sequence[Batch]) -> list[Stored]:
        if self._closed:
            raise UnavailableError("The server is shutting down.", headers={"Retry-After": "5"})
        submission = _Submission(batches, asyncio.get_running_loop())
        self._queue.put(submission)
        return await submission.done

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
            outcomes: list[Outcome] = list(self._commit(group))
        except Exception as error:
            self._writer.forget()
            if len(group) > 1:
                log.warning("group_failed", submissions=len(group), error=repr(error))
                for submission in group:
                    self._store([submission])
                return
            log.error("store_failed", exc_info=error)
            refusal = UnavailableError(
                "The database did not take this; nothing was stored.", headers={"Retry-After": "5"}
            )
            outcomes = [refusal]
        INGEST_SECONDS.observe(time.perf_counter() - started)
        INGEST_GROUP_BATCHES.observe(sum(len(submission.batches) for submission in group))
        # One wake-up of the event loop answers the whole group.
        group[0].loop.call_soon_threadsafe(_resolve, group, outcomes)

    def _commit(self, group: list[_Submission]) -> list[list[Stored]]:
        batches = [batch for submission in group for batch in submission.batches]
        with self._database.write() as connection:
            stored = iter(self._writer.store(connection, batches))
        return [[next(stored) for _ in submission.batches] for submission in group]


def _prepare_all(bodies: Sequence[bytes], principal: Principal) -> list[Prepared | SocastError]:
    prepared: list[Prepared | SocastError] = []
    for body in bodies:
        try:
            batch, faults = prepare(body)
            principal.check_device(batch.device.device_id)
            prepared.append((batch, faults))
        except SocastError as error:
            prepared.append(error)
    return prepared


def _resolve(group: list[_Submission], outcomes: list[Outcome]) -> None:
    for submission, outcome in zip(group, outcomes, strict=True):
        if submission.done.cancelled():
            continue
        if isinstance(outcome, SocastError):
            submission.done.set_exception(outcome)
        else:
            submission.done.set_result(outcome)


def _receipt(batch: Batch, faults: Sequence[Fault], stored: Stored) -> MeasurementReceipt:
    INGEST_CLAMPED.inc(batch.clamped)
    for kind, outcome, count in (
        ("run", "stored", stored.runs),
        ("run", "duplicate", stored.duplicate_runs),
        ("run", "rejected", sum(fault.pointer.startswith("/runs/") for fault in faults)),
        ("timing", "stored", stored.timings),
        ("transfer", "stored", stored.transfers),
    ):
        if count:
            INGEST_ROWS.labels(kind, outcome).inc(count)
    return MeasurementReceipt(
        batch_id=batch.batch_id,
        accepted=Counts(stored.runs, stored.timings, stored.transfers),
        duplicates=Counts(runs=stored.duplicate_runs, transfers=stored.duplicate_transfers),
        rejected=[Rejection(fault.pointer, fault.detail) for fault in faults],
        clamped=batch.clamped,
    )
