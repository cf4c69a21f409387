"""What executed plans teach: costs of hand-overs, stages and contention by SoC, in time for the next plan."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.planning.executed import Executed, Planned, observe
from app.planning.learned_costs import CostLearner, LearnedCosts
from app.planning.transfer_costs import HandOver
from app.store import changes, executions
from app.store.engine import Connection, Database
from app.store.executions import Execution

NEWEST_EXECUTIONS = 500
"""Executions, and as many copies, that are read when the service starts: what they taught survives."""

OVERLAP_US = 10_000_000
"""Commits may be this much later than their rows' time of storing; so far back it is looked again."""

REMEMBERED_PLANS = 1_000


@dataclass(frozen=True, slots=True)
class _PlanStages:
    """A plan's stages as they were stored, and what all of them together compute on each processor."""

    planned: Mapping[int, Planned]
    compute_us: Mapping[str, float]


class PlanFeedback:
    """Learns from every execution and every copy once; what was learned is kept by SoC.

    Nothing is stored: after a restart it is learned again from the newest rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = changes.watch(database)
        self._mark: object = None
        self._lock = threading.Lock()
        self._by_soc: dict[str, CostLearner] = defaultdict(CostLearner)
        self._seen: OrderedDict[UUID, int] = OrderedDict()
        self._stored_at_us = OVERLAP_US
        self._copy_id = 0
        self._plans: OrderedDict[str, _PlanStages] = OrderedDict()

    def learned(self, soc: str, kinds: Mapping[str, str]) -> LearnedCosts:
        """Return what was learned of a SoC's processors, given by their kinds, up to what is stored now."""
        with self._lock:
            # Before reading: what is committed meanwhile must be looked at the next time.
            mark = self._changes.mark()
            if mark != self._mark:
                with self._database.read() as connection:
                    self._read_executions(connection)
                    self._read_copies(connection)
                self._mark = mark
            return self._by_soc.get(soc, CostLearner()).learned(kinds)

    def _read_executions(self, connection: Connection) -> None:
        since_us = self._stored_at_us - OVERLAP_US
        found = executions.executions_since(connection, since_us, self._seen, NEWEST_EXECUTIONS)
        for execution in found:
            self._seen[execution.outcome_id] = execution.stored_at_us
            self._stored_at_us = max(self._stored_at_us, execution.stored_at_us)
            stages = self._stages(connection, execution.plan_id)
            ran = [
                Executed(stage["id"], stage["start_us"], stage["end_us"], stage.get("waited_us"))
                for stage in execution.stages
            ]
            self._by_soc[execution.soc].add(*observe(stages.planned, ran, _scale(stages, execution)))
        while self._seen and next(iter(self._seen.values())) < self._stored_at_us - OVERLAP_US:
            self._seen.popitem(last=False)

    def _read_copies(self, connection: Connection) -> None:
        for copy in executions.copies_since(connection, self._copy_id, NEWEST_EXECUTIONS):
            self._copy_id = copy.id
            measured = HandOver(copy.source, copy.target, copy.size_bytes, copy.latency_us)
            self._by_soc[copy.soc].add([measured], [])

    def _stages(self, connection: Connection, plan_id: str) -> _PlanStages:
        if plan_id not in self._plans:
            stored, recurs = executions.planned_stages(connection, plan_id)
            # Where a model recurs within a plan, its stages' times say which period it was, not what it cost.
            self._plans[plan_id] = _plan_stages([] if recurs else stored)
            while len(self._plans) > REMEMBERED_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(plan_id)
        return self._plans[plan_id]


def _plan_stages(stored: list[dict[str, Any]]) -> _PlanStages:
    """Return what was expected of stages; those stored before this was told teach nothing."""
    planned = {
        stage["id"]: Planned(
            stage["processor"], stage["compute_us"], stage["moved_bytes"], stage["reads"], stage["after"]
        )
        for stage in stored
        if "compute_us" in stage
    }
    compute_us: dict[str, float] = defaultdict(float)
    for item in planned.values():
        compute_us[item.processor] += item.compute_us
    return _PlanStages(planned, compute_us)


def _scale(stages: _PlanStages, execution: Execution) -> dict[str, float]:
    """Return how the context had changed each processor's latencies since the plan was first handed out."""
    foreseen = execution.forecast.get("compute_us", {})
    return {
        name: foreseen[name] / total
        for name, total in stages.compute_us.items()
        if total > 0 and foreseen.get(name, 0.0) > 0
    }
