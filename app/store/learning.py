"""What learners read: stored runs in the order of their ids, in the predictors' words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, bindparam, func, select

from app.store.batch import context_values, elsewhere, soc_name
from app.store.operators import OperatorReader
from app.store.runs import DESCRIBED_RUNS
from app.store.tables import device, execution_target, framework, learner_cursor, processor, run, timing
from app.store.upsert import insert_or
from predictors.run import PredictorKey, Run, RunQuery
from predictors.software import software_of


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A stored run with the numbers of its rows, for cursors and for booking errors."""

    id: int
    processor_id: int
    model_id: int
    run: Run


class RunReader:
    """Reads runs; operators that occur again are the same object."""

    def __init__(self) -> None:
        self._operators = OperatorReader()

    def after(self, connection: Connection, cursor: int, limit: int) -> list[RecordedRun]:
        """Return the next `limit` runs with an id greater than `cursor`, in order."""
        query = DESCRIBED_RUNS.where(run.c.id > cursor).order_by(run.c.id).limit(limit)
        return self._records(connection, connection.execute(query).all())

    def before(
        self, connection: Connection, cursor: int, limit: int, key: PredictorKey | None = None
    ) -> list[RecordedRun]:
        """Return the last `limit` runs with an id up to `cursor`, oldest first; of one key or of all."""
        query = DESCRIBED_RUNS.where(run.c.id <= cursor).order_by(run.c.id.desc()).limit(limit)
        if key is not None:
            query = query.where(
                run.c.processor_id.in_(_processors(connection, key)), framework.c.name == key.framework
            )
        return self._records(connection, connection.execute(query).all()[::-1])

    def _records(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[RecordedRun]:
        timings = _timings(connection, [row.id for row in rows])
        operators = self._operators.get(connection, np.unique(timings[:, 1]).tolist())
        targets = _targets(connection) if timings[:, 3].any() else {}
        starts = np.searchsorted(timings[:, 0], [row.id for row in rows])
        ends = np.searchsorted(timings[:, 0], [row.id for row in rows], side="right")
        return [
            RecordedRun(
                id=row.id,
                processor_id=row.processor_id,
                model_id=row.model_id,
                run=Run(
                    run_id=str(row.run_uuid),
                    query=_query(row, tuple(operators[key] for key in timings[start:end, 1].tolist())),
                    total_us=row.total_ns / 1000,
                    latency_us=timings[start:end, 2] / 1000,
                    fell_back=_fell_back(row, timings[start:end, 3], targets),
                ),
            )
            for row, start, end in zip(rows, starts.tolist(), ends.tolist(), strict=True)
        ]


def cursor(connection: Connection, learner: str) -> int:
    """Return the id of the last run that this learner has learned from, 0 at first."""
    return connection.scalar(select(learner_cursor.c.run_id).where(learner_cursor.c.learner == learner)) or 0


def pending(connection: Connection, learner: str) -> int:
    """Return how many stored runs this learner has not learned from yet."""
    after = run.c.id > cursor(connection, learner)
    return connection.scalar(select(func.count()).select_from(run).where(after)) or 0


def set_cursor(connection: Connection, learner: str, run_id: int) -> None:
    """Remember how far this learner has come; call it in the transaction that stores what it learned."""
    statement = insert_or(connection, learner_cursor).values(learner=learner, run_id=run_id)
    connection.execute(statement.on_conflict_do_update(index_elements=["learner"], set_={"run_id": run_id}))


def _query(row: Row[Any], operators: tuple[Any, ...]) -> RunQuery:
    return RunQuery(
        key=PredictorKey(soc_name(row.soc, row.device_id), row.processor, row.framework),
        device_id=row.device_id,
        model=row.digest or row.model_name,
        started_at_us=row.started_at_us,
        operators=operators,
        context=context_values(row.fields),
        profiled=row.profiled,
        calibration=row.calibration,
        condition=row.condition,
        framework_version=row.version,
        software=software_of(row.os, row.drivers),
    )


def _targets(connection: Connection) -> dict[int, str]:
    return {row.id: row.name for row in connection.execute(select(execution_target))}


def _fell_back(row: Row[Any], ran_on: NDArray[np.int64], targets: Mapping[int, str]) -> frozenset[int]:
    """Return the positions that ran elsewhere; `ran_on` holds ids of targets, 0 where the run ran."""
    places = [(position, targets[int(ran_on[position])]) for position in np.flatnonzero(ran_on).tolist()]
    return elsewhere(places, row.processor, row.kind)


def _processors(connection: Connection, key: PredictorKey) -> list[int]:
    """Return the processors (of all devices) that a predictor is for."""
    rows = connection.execute(
        select(processor.c.id, device.c.soc, device.c.device_id)
        .join(device, device.c.id == processor.c.device)
        .where(processor.c.name == key.processor)
    )
    return [row.id for row in rows if soc_name(row.soc, row.device_id) == key.soc]


def _timings(connection: Connection, run_ids: list[int]) -> NDArray[np.int64]:
    """Return rows of (run id, operator id, latency in ns, where it fell back to or 0), as they ran."""
    if not run_ids:
        return np.empty((0, 4), dtype=np.int64)
    query = (
        select(timing.c.run_id, timing.c.operator_id, timing.c.latency_ns, func.coalesce(timing.c.ran_on, 0))
        .where(timing.c.run_id.in_(bindparam("ids", expanding=True)))
        .order_by(timing.c.run_id, timing.c.position)
    )
    rows: list[Any] = []
    for start in range(0, len(run_ids), 1000):
        rows += connection.execute(query, {"ids": run_ids[start : start + 1000]}).all()
    return np.array(rows, dtype=np.int64).reshape(-1, 4)
