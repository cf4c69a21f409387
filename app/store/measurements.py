"""Store batches of measurements, exactly once, many in one transaction."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, func, select

from app.store import support
from app.store.batch import Batch, RunRecord, Stored, TransferRecord, context_values
from app.store.bulk import Bulk, DeviceChange, TimingColumns, driver_cursor
from app.store.bulk_postgres import PostgresBulk
from app.store.bulk_sqlite import SqliteBulk
from app.store.engine import Dialect
from app.store.partitions import Partition, Partitions
from app.store.registry import KnownDevice, Registry
from app.store.support import Told
from predictors.run import PredictorKey, Run, RunQuery, framework_name_and_version
from predictors.software import software_of

WRITER_LOCK = 0x50CA57
"""PostgreSQL advisory lock of whoever gives out run ids, so that they commit in order."""

NEWEST_RUN = "SELECT max(id) FROM run"
NEWEST_TRANSFER = "SELECT max(id) FROM transfer"

RUN_COLUMNS = (
    "id",
    "run_uuid",
    "started_at_us",
    "processor_id",
    "framework_id",
    "model_id",
    "condition",
    "context_id",
    "profiled",
    "calibration",
    "total_ns",
    "energy_mj",
    "inclusion_probability",
)
TRANSFER_COLUMNS = (
    "id",
    "transfer_uuid",
    "started_at_us",
    "source_processor_id",
    "target_processor_id",
    "size_bytes",
    "latency_ns",
    "context",
)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run just stored, inside the transaction that stores it; `start` is its first timing in the batch."""

    run_id: int
    processor_id: int
    soc: str
    batch: Batch
    record: RunRecord
    start: int

    @property
    def key(self) -> PredictorKey:
        """Which predictor the run belongs to."""
        return PredictorKey(
            self.soc, self.record.processor, framework_name_and_version(self.record.framework)[0]
        )

    def to_run(self) -> Run:
        """Return it in the predictors' words."""
        record, described = self.record, self.batch.device
        end = self.start + record.length
        operators = [self.batch.operators[i] for i in self.batch.operator_index[self.start : end].tolist()]
        return Run(
            run_id=str(record.run_uuid),
            query=RunQuery(
                key=self.key,
                device_id=described.device_id,
                model=record.model_digest or record.model_name,
                started_at_us=record.started_at_us,
                operators=tuple(o for o in operators if o is not None),
                context=context_values(record.context),
                profiled=record.profiled,
                calibration=record.calibration,
                condition=record.condition,
                framework_version=framework_name_and_version(record.framework)[1],
                software=software_of(described.os, described.drivers),
            ),
            total_us=record.total_ns / 1000,
            latency_us=self.batch.latency_ns[self.start : end] / 1000,
            fell_back=self.batch.fell_back(record),
        )


OnRuns = Callable[[Connection, Sequence[StoredRun]], None]
"""Called inside the transaction that stores the runs, in the order of their ids."""


@dataclass(slots=True)
class _Group:
    """The batches of one transaction, whose they are, and what becomes of each."""

    connection: Connection
    batches: Sequence[Batch]
    devices: list[KnownDevice]
    known: set[UUID]
    results: list[Stored]
    now_us: int
    partition: Partition | None = None

    def __iter__(self) -> Iterator[tuple[Batch, KnownDevice, Stored]]:
        return zip(self.batches, self.devices, self.results, strict=True)

    def table(self, name: str) -> str:
        """Return the table, or its partition, that this transaction inserts into."""
        return name if self.partition is None else self.partition.table(name)


class MeasurementWriter:
    """The one writer of runs; remembers names' numbers between transactions."""

    def __init__(self, dialect: Dialect, *, partition_days: int = 7, on_runs: OnRuns | None = None) -> None:
        self.on_runs = on_runs
        self._dialect = dialect
        self._bulk: Bulk = SqliteBulk() if dialect == "sqlite" else PostgresBulk()
        self._registry = Registry()
        self._partitions = Partitions(partition_days)

    def forget(self) -> None:
        """Forget what was looked up, after a rollback."""
        self._registry.forget()
        self._partitions.forget()

    def store(self, connection: Connection, batches: Sequence[Batch]) -> list[Stored]:
        """Store batches inside the caller's transaction; return what became of each, in order."""
        now_us = time.time_ns() // 1000
        if self._dialect == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
        group = _Group(
            connection,
            batches,
            devices=[self._registry.device(connection, batch.device, now_us) for batch in batches],
            known=self._known(connection, batches),
            results=[Stored() for _ in batches],
            now_us=now_us,
        )
        stored = self._store_runs(group)
        self._store_timings(group, stored)
        support.add(connection, [_told(item) for item in stored if item.record.ran_on is not None])
        self._store_transfers(group)
        _update_devices(self._bulk, group)
        if stored and self.on_runs is not None:
            self.on_runs(connection, stored)
        return group.results

    def _known(self, connection: Connection, batches: Sequence[Batch]) -> set[UUID]:
        """Return the ids among these batches' runs and transfers that are stored already."""
        runs = {r.run_uuid for batch in batches for r in batch.runs}
        transfers = {t.transfer_uuid for batch in batches for t in batch.transfers}
        known: set[UUID] = set()
        if runs:
            known |= self._bulk.known_uuids(connection, "run_identity", "run_uuid", runs)
        if transfers:
            known |= self._bulk.known_uuids(connection, "transfer", "transfer_uuid", transfers)
        return known

    def _first_id(self, group: _Group) -> int:
        """Return the first free id for these runs: now or after the last one, all in one partition."""
        count = sum(len(batch.runs) for batch in group.batches)
        first = max(group.now_us, _newest_id(group.connection, NEWEST_RUN) + 1)
        if self._dialect == "postgresql":
            first, group.partition = self._partitions.reserve(group.connection, first, count)
        return first

    def _store_runs(self, group: _Group) -> list[StoredRun]:
        connection, known = group.connection, group.known
        run_id = self._first_id(group)
        registry = self._registry
        stored: list[StoredRun] = []
        contexts: list[tuple[int, str]] = []
        rows: list[tuple[object, ...]] = []
        for batch, owner, result in group:
            context_ids: dict[str, int] = {}
            start = 0
            for record in batch.runs:
                end = start + record.length
                if record.run_uuid in known:
                    result.duplicate_runs += 1
                    start = end
                    continue
                known.add(record.run_uuid)
                context_id = context_ids.setdefault(record.context, run_id)
                if context_id == run_id:
                    contexts.append((run_id, record.context))
                processor_id = registry.processor_id(connection, owner.key, record.processor)
                rows.append(
                    (
                        run_id,
                        record.run_uuid,
                        record.started_at_us,
                        processor_id,
                        registry.framework_id(connection, record.framework),
                        registry.model_id(connection, record.model_name, record.model_digest),
                        record.condition,
                        context_id,
                        record.profiled,
                        record.calibration,
                        record.total_ns,
                        record.energy_mj,
                        record.inclusion_probability,
                    )
                )
                stored.append(StoredRun(run_id, processor_id, owner.soc, batch, record, start))
                result.runs += 1
                result.timings += record.length
                run_id += 1
                start = end
        if rows:
            identities = [(row[1], row[0]) for row in rows]
            self._bulk.insert(connection, group.table("context"), ("id", "fields"), contexts)
            self._bulk.insert(connection, group.table("run"), RUN_COLUMNS, rows)
            self._bulk.insert(connection, "run_identity", ("run_uuid", "run_id"), identities)
        return stored

    def _store_timings(self, group: _Group, stored: Sequence[StoredRun]) -> None:
        connection = group.connection
        lengths = [s.record.length for s in stored]
        if not any(lengths):
            return
        operator_id: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        latency_ns: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        ran_on: list[tuple[int, int]] = []
        offset = 0
        for batch, runs in _by_batch(stored):
            keys = np.array(self._registry.operator_ids(connection, batch.operators), dtype=np.int64)
            ids = keys[batch.operator_index]
            for item in runs:
                end = item.start + item.record.length
                operator_id.append(ids[item.start : end])
                latency_ns.append(batch.latency_ns[item.start : end])
                for position, place in item.record.ran_on or ():
                    ran_on.append((offset + position, self._registry.target_id(connection, place)))
                offset += item.record.length
        self._bulk.insert_timings(
            connection,
            group.table("timing"),
            TimingColumns(
                stored[0].run_id, lengths, np.concatenate(operator_id), np.concatenate(latency_ns), ran_on
            ),
        )

    def _store_transfers(self, group: _Group) -> None:
        connection, known = group.connection, group.known
        rows: list[tuple[object, ...]] = []
        new: list[tuple[KnownDevice, TransferRecord]] = []
        for batch, owner, result in group:
            for record in batch.transfers:
                if record.transfer_uuid in known:
                    result.duplicate_transfers += 1
                    continue
                known.add(record.transfer_uuid)
                new.append((owner, record))
                result.transfers += 1
        if not new:
            return
        first = max(group.now_us, _newest_id(connection, NEWEST_TRANSFER) + 1)
        for key, (owner, record) in enumerate(new, start=first):
            source = self._registry.processor_id(connection, owner.key, record.source)
            target = self._registry.processor_id(connection, owner.key, record.target)
            rows.append(
                (
                    key,
                    record.transfer_uuid,
                    record.started_at_us,
                    source,
                    target,
                    record.size_bytes,
                    record.latency_ns,
                    record.context,
                )
            )
        self._bulk.insert(connection, "transfer", TRANSFER_COLUMNS, rows)


def _newest_id(connection: Connection, statement: str) -> int:
    """Return the highest id in use, 0 where there is none; the driver alone answers ten times as fast."""
    cursor = driver_cursor(connection)
    cursor.execute(statement)
    return int(cursor.fetchone()[0] or 0)


def _told(item: StoredRun) -> Told:
    """Return which of a run's operators fell back."""
    indexes = item.batch.operator_index[item.start : item.start + item.record.length].tolist()
    operators = [item.batch.operators[index] for index in indexes]
    return Told(item.key, operators, item.batch.fell_back(item.record))


def _update_devices(bulk: Bulk, group: _Group) -> None:
    changes: dict[int, DeviceChange] = {}
    for batch, owner, result in group:
        change = changes.setdefault(
            owner.key,
            DeviceChange(key=owner.key, now_us=group.now_us, runs=0, timings=0, latest=None, at_us=-1),
        )
        change["runs"] += result.runs
        change["timings"] += result.timings
        for record in batch.runs:
            # A clock in the future must not freeze what is known of the device.
            at = min(record.started_at_us, group.now_us)
            if at >= change["at_us"]:
                change["at_us"], change["latest"] = at, record.context
    bulk.update_devices(group.connection, list(changes.values()))


def _by_batch(stored: Sequence[StoredRun]) -> Iterator[tuple[Batch, list[StoredRun]]]:
    """Group consecutive runs by the batch that they came in."""
    group: list[StoredRun] = []
    for item in stored:
        if group and group[0].batch is not item.batch:
            yield group[0].batch, group
            group = []
        group.append(item)
    if group:
        yield group[0].batch, group
