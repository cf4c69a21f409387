"""The service inside this process, on a database in the experiment's folder."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from app.planning.plan import Plan
from app.services import models, report
from app.services.database import open_migrated
from app.services.fast_clock import FastClock
from app.services.kernels import KernelCache
from app.services.keys import ANYBODY
from app.services.learn import Learning
from app.services.outcomes import OutcomeService
from app.services.plan import ModelToPlan, PlanQuestion, PlanService
from app.services.plan_feedback import PlanFeedback
from app.services.prepare import prepare
from app.services.report import ErrorReport
from app.services.shelf import Shelf
from app.settings import Settings
from app.store.measurements import MeasurementWriter
from collectors.batch import BatchBuilder
from collectors.models import ModelFile
from collectors.sensors import Context
from collectors.spool import Spool
from predictors.forecast import Rung

DEVICE_ID = "this-machine"
BATCH_RECORDS, BATCH_BYTES = 200, 8 * 2**20


class Lab:
    """Ingest, learner, planner and outcomes as the server runs them, one after the other.

    Nothing learns while something is measured: the machine's cores are what is measured.
    """

    def __init__(self, folder: Path) -> None:
        settings = Settings.load(
            database=f"sqlite:///{folder.resolve() / 'socast.db'}", sqlite_synchronous="NORMAL"
        )
        self._database = open_migrated(settings)
        ticks = itertools.count()
        shelf = Shelf(clock=lambda: float(next(ticks)))
        self._writer = MeasurementWriter(
            self._database.dialect, partition_days=settings.partition_days, on_runs=FastClock(shelf)
        )
        self._plans = PlanService(
            self._database, shelf, KernelCache(lambda: 10.0 * next(ticks)), PlanFeedback(self._database)
        )
        self._outcomes = OutcomeService(self._database)
        self._learning = Learning(self._database)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.dispose()

    def register(self, file: ModelFile) -> str:
        """Upload a model; return its digest."""
        graph = models.register(
            self._database, file.path.read_bytes(), name=file.identity.name, input_shapes={}
        )
        return graph.digest

    def take(self, spool: Spool) -> int:
        """Ingest everything that a spool holds; return how many records it was."""
        builder = BatchBuilder(spool)
        taken = 0
        while records := spool.oldest(BATCH_RECORDS, BATCH_BYTES):
            batch, _ = prepare(builder.build(records))
            with self._database.write() as connection:
                self._writer.store(connection, [batch])
            spool.settle(records)
            taken += len(records)
        return taken

    def learn(self) -> Iterable[int]:
        """Learn from everything stored; yields how many runs each step took in."""
        while count := self._learning.step():
            yield count

    def plan(
        self,
        digests: Sequence[str],
        contexts: Mapping[str, Context],
        rung: Rung = Rung.RUNTIME,
        **wishes: Any,  # noqa: ANN401
    ) -> Sequence[Plan]:
        """Plan models in the processors' contexts, as a predictor proposes; `wishes` as in `PlanQuestion`."""
        question = PlanQuestion(
            [ModelToPlan(digest) for digest in digests],
            device_id=DEVICE_ID,
            contexts=contexts,
            rung=rung,
            processors=tuple(contexts),
            **wishes,
        )
        request = {"models": [{"digest": digest} for digest in digests], "device_id": DEVICE_ID}
        return self._plans.answer(question, request).plans

    def report(self, plan_id: str, outcomes: Sequence[Mapping[str, object]]) -> None:
        """Take in how executions of a plan went."""
        self._outcomes.take(plan_id, msgspec.json.encode({"outcomes": list(outcomes)}), ANYBODY)

    def errors(self, *group_by: str) -> ErrorReport:
        """Return the error report of everything learned so far."""
        return report.errors(self._database, group_by)
