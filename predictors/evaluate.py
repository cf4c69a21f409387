"""Test-then-train: the one engine behind `socast replay` and the service's learner.

    engine = TestThenTrain(on_publish=store_version)
    engine.calibrate(calm_runs)          # optional: what the calm rung is fitted on
    engine.warm_up(history_runs)         # optional: what the frozen rungs are fitted on
    for run in runs:                     # in order of their start
        scored = engine.step(run)        # predicted by every rung from what existed at its start

Without `calibrate` each key's first runs serve as its calm profile. After a restart hand the stored versions
to the constructor and the recent runs to `resume`.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any

from predictors.device_state import DeviceState
from predictors.forecast import RunForecast, Rung
from predictors.graph import Operator
from predictors.learning import KeyLearner, Row, Schedule
from predictors.operator_model import FLOOR_US
from predictors.run import PredictorKey, Run, RunQuery
from predictors.version import ALL_RUNGS, PredictorVersion

Publish = Callable[[PredictorVersion, str, dict[str, Any]], None]
Place = tuple[str, PredictorKey]

_REMEMBERED_IDS = 100_000


@dataclass(frozen=True, slots=True)
class Scored:
    """A run with what was forecast for it before anything could be learned from it.

    `query` is the run's query with its kernels filled in where they were known; `predictor` the digest of
    the version that forecast.
    """

    run: Run
    query: RunQuery
    forecasts: Mapping[Rung, RunForecast]
    predictor: str
    unseen: bool


@dataclass(order=True)
class _Pending:
    ready_at_us: float
    number: int
    run: Run = field(compare=False)
    state_before: DeviceState = field(compare=False)


class TestThenTrain:
    """Predicts each run before learning from it; holds many keys and devices. Deterministic.

    `unseen` names models (digest or name) that are predicted but that no version ever learns from;
    `feedback_delay_us` is how long after its end a run becomes known; `on_publish(version, reason, metrics)`
    is called with each new version.
    """

    __test__ = False

    def __init__(
        self,
        *,
        versions: Iterable[PredictorVersion] = (),
        unseen: Iterable[str] = (),
        feedback_delay_us: float = 0.0,
        rungs: Sequence[Rung] = ALL_RUNGS,
        schedule: Schedule | None = None,
        on_publish: Publish | None = None,
    ) -> None:
        self._schedule = schedule or Schedule()
        self._learners = {version.key: KeyLearner(version, self._schedule) for version in versions}
        self._unseen = frozenset(unseen)
        self._delay_us = feedback_delay_us
        self._rungs = tuple(rungs)
        self._on_publish = on_publish
        self._states: dict[Place, DeviceState] = {}
        self._kernels: dict[tuple[PredictorKey, str], tuple[Operator, ...]] = {}
        self._pending: list[_Pending] = []
        self._early: dict[PredictorKey, list[Run]] = defaultdict(list)
        self._ids: dict[str, None] = {}
        self._count = 0

    def version(self, key: PredictorKey) -> PredictorVersion:
        """Return the newest version for a key; a key nobody has measured gets the physical prior."""
        return self._learner(key).version

    def state(self, device_id: str, key: PredictorKey) -> DeviceState:
        """Return the fast state of a device's processor."""
        return self._states.get((device_id, key), DeviceState.initial())

    def calibrate(self, runs: Sequence[Run]) -> None:
        """Fit and freeze the calm rung on calm runs, each key on its own."""
        by_key: dict[PredictorKey, list[Run]] = defaultdict(list)
        for run in runs:
            self._note_kernels(run)
            if run.query.model not in self._unseen:
                by_key[run.query.key].append(run)
        for key, own in by_key.items():
            self._learner(key).fit_calm(own, self._kernels_of(key))
        self._stream(runs)
        self._publish_all(by_key, "calibration")

    def warm_up(self, runs: Sequence[Run]) -> None:
        """Learn from an older stretch with changing conditions and freeze the comparison rungs on it."""
        self._stream(runs)
        for learner in self._learners.values():
            learner.freeze()
        self._publish_all({run.query.key: None for run in runs}, "history")

    def resume(self, runs: Sequence[Run]) -> None:
        """After a restart: absorb recent runs into states and rows without predicting or publishing."""
        self._stream(runs)

    def step(self, run: Run) -> Scored:
        """Predict a run by every rung, then queue it for learning; a run seen before is not learned twice."""
        self._catch_up(run.query.started_at_us)
        query = self.resolve(run.query)
        state = self.state(query.device_id, query.key)
        version = self._learner(query.key).version
        forecasts = version.forecast(query, state, self._rungs)
        if self._is_new(run.run_id):
            self._queue(replace(run, query=query), state)
        return Scored(run, query, forecasts, version.digest, query.model in self._unseen)

    def flush(self) -> None:
        """Learn from everything still waiting for its feedback."""
        self._catch_up(float("inf"))

    def resolve(self, query: RunQuery) -> RunQuery:
        """Fill in the kernels of a run that lists none from earlier finished runs of its model."""
        known = self._kernels.get((query.key, query.model))
        if known is None or known is query.operators or (query.operators and query.operators != known):
            return query
        return replace(query, operators=known)

    def _learner(self, key: PredictorKey) -> KeyLearner:
        if key not in self._learners:
            self._learners[key] = KeyLearner(PredictorVersion(key), self._schedule)
        return self._learners[key]

    def _kernels_of(self, key: PredictorKey) -> dict[str, tuple[Operator, ...]]:
        return {model: kernels for (other, model), kernels in self._kernels.items() if other == key}

    def _note_kernels(self, run: Run) -> None:
        if run.query.operators:
            self._kernels.setdefault((run.query.key, run.query.model), run.query.operators)

    def _is_new(self, run_id: str) -> bool:
        if run_id in self._ids:
            return False
        self._ids[run_id] = None
        if len(self._ids) > _REMEMBERED_IDS:
            self._ids.pop(next(iter(self._ids)))
        return True

    def _queue(self, run: Run, state: DeviceState) -> None:
        self._count += 1
        heapq.heappush(self._pending, _Pending(run.ended_at_us + self._delay_us, self._count, run, state))

    def _catch_up(self, now_us: float) -> None:
        while self._pending and self._pending[0].ready_at_us <= now_us:
            done = heapq.heappop(self._pending)
            self._absorb(done.run, done.state_before)

    def _stream(self, runs: Iterable[Run]) -> None:
        """Learn from runs in order without predicting them."""
        for run in runs:
            self._catch_up(run.query.started_at_us)
            if self._is_new(run.run_id):
                query = self.resolve(run.query)
                self._queue(replace(run, query=query), self.state(query.device_id, query.key))
        self.flush()

    def _absorb(self, run: Run, before: DeviceState) -> None:
        """Let a finished run move the fast state and, unless unseen, the slow learner."""
        query = run.query
        self._note_kernels(run)
        learner = self._learner(query.key)
        version = learner.version
        place = (query.device_id, query.key)
        self._states[place] = version.absorb(self.state(*place), run)
        if query.model in self._unseen:
            return
        if not learner.calm_frozen:
            self._gather(run, learner)
            return
        calm = version.calm.calm(query)
        stretch = log(max(run.total_us, FLOOR_US)) - calm.log_total_us
        state_log = before.slowdown_log(query.started_at_us)
        learner.learn(Row(version.features(query, before), stretch, state_log, query.condition))
        if learner.due:
            self._publish(learner.refit(), "enough new runs")

    def _gather(self, run: Run, learner: KeyLearner) -> None:
        early = self._early[run.query.key]
        early.append(run)
        if len(early) < self._schedule.offline_runs:
            return
        del self._early[run.query.key]
        learner.fit_calm(early, self._kernels_of(run.query.key))
        for other in early:
            place = (other.query.device_id, other.query.key)
            self._states.pop(place, None)
        for other in early:
            self._absorb(other, self.state(other.query.device_id, other.query.key))
        learner.freeze()
        self._publish(learner.refit(), "first runs")

    def _publish_all(self, keys: Iterable[PredictorKey], reason: str) -> None:
        for key in keys:
            self._publish(self._learner(key).refit(), reason)

    def _publish(self, version: PredictorVersion, reason: str) -> None:
        if self._on_publish is not None:
            self._on_publish(version, reason, {"trained_runs": version.trained_runs})
