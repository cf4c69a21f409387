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

from predictors.calm_gathering import TRACE, CalmGathering
from predictors.device_state import RECENT, DeviceState
from predictors.forecast import RunForecast, Rung
from predictors.graph import Operator
from predictors.learning import KeyLearner
from predictors.misses import Misses
from predictors.notices import Notice, Published
from predictors.operator_model import FLOOR_US
from predictors.profiler_price import profiler_price
from predictors.rows import rows_of
from predictors.run import PredictorKey, Run, RunQuery
from predictors.schedule import APPENDED, DRIFT, RESTART, Schedule
from predictors.siblings import Siblings
from predictors.software_changes import SoftwareChanges
from predictors.version import ALL_RUNGS, PredictorVersion, Score

Publish = Callable[[PredictorVersion, str, dict[str, Any]], None]
Place = tuple[str, PredictorKey]

_REMEMBERED_IDS = 100_000
_REMEMBERED_MODELS = 4_096


@dataclass(frozen=True, slots=True)
class Scored:
    """A run with what was forecast for it before anything could be learned from it.

    `query` is the run's query with its kernels filled in where they were known; `predictor` the digest of
    the version that forecast; `learned` whether that version had learned from any run, or was the physical
    prior alone.
    """

    run: Run
    query: RunQuery
    forecasts: Mapping[Rung, RunForecast]
    predictor: str
    unseen: bool
    learned: bool


@dataclass(order=True)
class _Pending:
    ready_at_us: float
    number: int
    run: Run = field(compare=False)
    before: DeviceState = field(compare=False)
    forecast: RunForecast = field(compare=False)


class TestThenTrain:
    """Predicts each run before learning from it; holds many keys and devices. Deterministic.

    `unseen` names models (digest or name) that are predicted but that no version ever learns from;
    `feedback_delay_us` is how long after its end a run becomes known; `on_publish(version, reason, metrics)`
    is called with each new version, `on_notice(notice)` with what was noticed without making one.
    """

    __test__ = False

    def __init__(
        self,
        *,
        versions: Iterable[PredictorVersion] = (),
        states: Mapping[Place, DeviceState] | None = None,
        unseen: Iterable[str] = (),
        feedback_delay_us: float = 0.0,
        rungs: Sequence[Rung] = ALL_RUNGS,
        schedule: Schedule | None = None,
        on_publish: Publish | None = None,
        on_notice: Callable[[Notice], None] | None = None,
    ) -> None:
        self._schedule = schedule or Schedule()
        self._learners = {version.key: KeyLearner(version, self._schedule) for version in versions}
        self._unseen = frozenset(unseen)
        self._delay_us = feedback_delay_us
        self._rungs = tuple(rungs)
        self._on_publish = on_publish
        self._on_notice = on_notice
        self._states: dict[Place, DeviceState] = dict(states or {})
        self._kernels: dict[tuple[PredictorKey, str], tuple[Operator, ...]] = {}
        self._misses: dict[PredictorKey, Misses] = defaultdict(Misses)
        self._software = SoftwareChanges(self.versions(), self._schedule.least_new_runs)
        self._siblings = Siblings(self.versions())
        self._resuming = False
        self._pending: list[_Pending] = []
        self._freezes_by_itself = True
        self._ids: dict[str, None] = {}
        self._count = 0

    def version(self, key: PredictorKey) -> PredictorVersion:
        """Return the newest version for a key; one nobody has measured starts from its nearest relatives."""
        return self._learner(key).version

    def versions(self) -> list[PredictorVersion]:
        """Return the newest version of every key, in the order in which the keys were met."""
        return [learner.version for learner in self._learners.values()]

    def states(self) -> Mapping[Place, DeviceState]:
        """Return the fast state of every device's processors."""
        return dict(self._states)

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
            self._siblings.note(key, own)
        for key, own in by_key.items():
            self._profile(self._learner(key), own, TRACE, final=True)
        self._stream(runs, calm=True)
        for key in by_key:
            self._refit(key, "calibration")

    def warm_up(self, runs: Sequence[Run]) -> None:
        """Learn from an older stretch with changing conditions and freeze the comparison rungs on it."""
        self._freezes_by_itself = False
        self._stream(runs)
        self._freezes_by_itself = True
        for key in {run.query.key: None for run in runs}:
            self._freeze(key)
            self._refit(key, "history")

    def resume(self, runs: Sequence[Run]) -> None:
        """After a restart: take recent runs into states and rows again, noticing nothing on the way.

        What was fitted again meanwhile is published at its end, the newest version of each key alone.
        """
        began = {version.key: version.digest for version in self.versions()}
        fitted: dict[PredictorKey, dict[str, Any]] = {}

        def note(version: PredictorVersion, _reason: str, metrics: dict[str, Any]) -> None:
            fitted[version.key] = metrics

        publish, self._on_publish = self._on_publish, note
        notice, self._on_notice = self._on_notice, None
        self._resuming = True
        self._stream(runs)
        self._resuming = False
        self._on_publish, self._on_notice = publish, notice
        for key, metrics in fitted.items():
            if publish is not None and self.version(key).digest != began.get(key):
                publish(self.version(key), RESTART, metrics)

    def step(self, run: Run) -> Scored:
        """Predict a run by every rung, then queue it for learning; a run seen before is not learned twice."""
        self._catch_up(run.query.started_at_us)
        query = self.resolve(run.query)
        state = self.state(query.device_id, query.key)
        version = self._learner(query.key).version
        forecasts = version.forecast(query, state, self._rungs)
        if self._is_new(run.run_id):
            self._queue(replace(run, query=query), state, forecasts)
        unseen = query.model in self._unseen
        return Scored(run, query, forecasts, version.digest, unseen, version.trained_runs > 0)

    def flush(self) -> None:
        """Learn from everything still waiting for its feedback."""
        self._catch_up(float("inf"))

    def quarantined(self) -> dict[PredictorKey, tuple[str, ...]]:
        """Return by key the devices that no version learns from: they stand apart from their peers."""
        found = {key: learner.reputation.quarantined() for key, learner in self._learners.items()}
        return {key: devices for key, devices in found.items() if devices}

    def sets_aside(self, device_id: str) -> bool:
        """Return whether a device stands apart from its peers on any of its processors."""
        return any(learner.reputation.sets_aside(device_id) for learner in self._learners.values())

    def resolve(self, query: RunQuery) -> RunQuery:
        """Fill in the kernels of a run that lists none from earlier finished runs of its model."""
        known = self._kernels.get((query.key, query.model))
        if known is None or known is query.operators or (query.operators and query.operators != known):
            return query
        return replace(query, operators=known)

    def _learner(self, key: PredictorKey) -> KeyLearner:
        """Return the learner of a key; until it was measured, it knows what its siblings know by now."""
        if key not in self._learners:
            self._learners[key] = KeyLearner(PredictorVersion(key), self._schedule)
        learner = self._learners[key]
        if not learner.version.calm_runs:
            learner.lean_on(self._siblings.start(key))
        return learner

    def _kernels_of(self, key: PredictorKey) -> dict[str, tuple[Operator, ...]]:
        return {model: kernels for (other, model), kernels in self._kernels.items() if other == key}

    def _note_kernels(self, run: Run) -> None:
        place = (run.query.key, run.query.model)
        if run.query.operators and place not in self._kernels:
            self._kernels[place] = run.query.operators
            if len(self._kernels) > _REMEMBERED_MODELS:
                del self._kernels[next(iter(self._kernels))]

    def _is_new(self, run_id: str) -> bool:
        if run_id in self._ids:
            return False
        self._ids[run_id] = None
        if len(self._ids) > _REMEMBERED_IDS:
            self._ids.pop(next(iter(self._ids)))
        return True

    def _queue(self, run: Run, state: DeviceState, forecasts: Mapping[Rung, RunForecast]) -> None:
        self._count += 1
        runtime = forecasts.get(Rung.RUNTIME)
        if runtime is None:
            version = self._learner(run.query.key).version
            runtime = version.forecast(run.query, state, (Rung.RUNTIME,))[Rung.RUNTIME]
        ready = run.ended_at_us + self._delay_us
        heapq.heappush(self._pending, _Pending(ready, self._count, run, state, runtime))

    def _catch_up(self, now_us: float, *, calm: bool = False) -> None:
        while self._pending and self._pending[0].ready_at_us <= now_us:
            self._absorb(heapq.heappop(self._pending), calm=calm)

    def _stream(self, runs: Iterable[Run], *, calm: bool = False) -> None:
        """Learn from runs in order; what they are predicted to take only serves the fits."""
        for run in runs:
            self._catch_up(run.query.started_at_us, calm=calm)
            if self._is_new(run.run_id):
                query = self.resolve(run.query)
                self._queue(replace(run, query=query), self.state(query.device_id, query.key), {})
        self._catch_up(float("inf"), calm=calm)

    def _absorb(self, done: _Pending, *, calm: bool) -> None:
        """Let a finished run move the fast state and, unless unseen, the slow learner."""
        run, key = done.run, done.run.query.key
        self._note_kernels(run)
        learner = self._learner(key)
        seen = run.query.model not in self._unseen
        if seen and not self._resuming:
            self._note_software(learner, run)
        gathering = learner.gathering
        if gathering is not None and seen and gathering.add(run):
            self._finish_gathering(learner)
            gathering = None
        score = self._move_state(learner, done)
        if not seen:
            return
        if gathering is None:
            self._learn(learner, done, score, calm=calm)
        else:
            self._gathered(learner, gathering)

    def _move_state(self, learner: KeyLearner, done: _Pending) -> Score:
        place = (done.run.query.device_id, done.run.query.key)
        self._states[place], score = learner.version.absorb_scored(self.state(*place), done.run)
        return score

    def _learn(self, learner: KeyLearner, done: _Pending, score: Score, *, calm: bool) -> None:
        run, version = done.run, learner.version
        expected = version.calm.calm(run.query)
        learner.reputation.note(run.query.device_id, log(max(run.total_us, FLOOR_US)) - expected.log_total_us)
        if not learner.reputation.trusted(run.query.device_id) or self.sets_aside(run.query.device_id):
            return
        # A stored version has learned from the runs that it resumes from: they miss too little.
        if not calm and not self._resuming:
            self._misses[version.key].add(run, done.before, done.forecast, score)
        predicted = log(done.forecast.total.p50_us) - expected.log_total_us
        learner.learn(rows_of(version, run, done.before, predicted, done.number), calm=calm)
        changed = self._software.due(version.key)
        if self._freezes_by_itself and learner.comparisons_due:
            self._freeze(version.key)
            self._refit(version.key, "comparisons frozen")
        elif (reason := changed or learner.due) is not None and not (self._resuming and reason == APPENDED):
            self._refit(version.key, reason)
        self._tell(learner, run.query.device_id)

    def _note_software(self, learner: KeyLearner, run: Run) -> None:
        """Let a version below the model that this key has not met yet bring a refit about."""
        changed = self._software.meet(run.query)
        if changed and learner.gathering is None:
            self._software.wait(run.query.key, changed)
            learner.notices.append(Notice(DRIFT, learner.version, changed))

    def _tell(self, learner: KeyLearner, device_id: str) -> None:
        """Hand on what a learner noticed as it took in a run of a device."""
        notices, learner.notices = learner.notices, []
        if self._on_notice is not None:
            for notice in notices:
                own = device_id if notice.kind == DRIFT else None
                self._on_notice(replace(notice, device_id=own))

    def _gathered(self, learner: KeyLearner, gathering: CalmGathering) -> None:
        """Go on gathering a calm profile; until it is complete, serve what there is."""
        if gathering.complete:
            self._finish_gathering(learner)
        elif gathering.telling:
            self._profile_gathered(learner, gathering, final=False)
            self._publish(Published(learner.version, "first runs", _calm_metrics(learner.version)))

    def _finish_gathering(self, learner: KeyLearner) -> None:
        """Freeze the calm profile and learn the gathered runs anew, relative to it."""
        gathering = learner.gathering
        if gathering is None:
            return
        self._profile_gathered(learner, gathering, final=True)
        calm_ids = {run.run_id for run in gathering.calm_runs()}
        for run in gathering.runs:
            place = (run.query.device_id, run.query.key)
            before = self.state(*place)
            forecast = learner.version.forecast(run.query, before, (Rung.RUNTIME,))[Rung.RUNTIME]
            self._count += 1
            done = _Pending(run.ended_at_us, self._count, run, before, forecast)
            score = self._move_state(learner, done)
            self._learn(learner, done, score, calm=run.run_id in calm_ids)
        self._refit(learner.version.key, "calm profile")

    def _profile_gathered(self, learner: KeyLearner, gathering: CalmGathering, *, final: bool) -> None:
        """Profile on what was gathered; states kept against another profile start anew."""
        key = learner.version.key
        calm_runs = gathering.calm_runs()
        if final:
            self._siblings.note(key, calm_runs)
        self._profile(learner, calm_runs, gathering.source, final=final)
        if not final:
            # Siblings that have less lean on it; its own few runs count once, in its own profile.
            self._siblings.note(key, calm_runs)
        for device_id in dict.fromkeys(run.query.device_id for run in gathering.runs):
            self._states.pop((device_id, key), None)
        if not final:
            for run in gathering.runs[-RECENT:]:
                place = (run.query.device_id, key)
                self._states[place] = learner.version.absorb(self.state(*place), run)

    def _profile(self, learner: KeyLearner, calm_runs: Sequence[Run], source: str, *, final: bool) -> None:
        key = learner.version.key
        learner.profile(calm_runs, self._kernels_of(key), self._siblings.start(key), source, final=final)
        if final:
            learner.version = replace(learner.version, samples=self._siblings.kept(key))

    def _freeze(self, key: PredictorKey) -> None:
        learner = self._learner(key)
        learner.freeze()
        learner.version = self._misses[key].frozen(learner.version)

    def _refit(self, key: PredictorKey, reason: str) -> None:
        learner = self._learner(key)
        changed = self._software.settle(key)
        published = learner.refit(changed or reason)
        if published is None and changed:
            self._software.wait(key, changed)
        if published is not None:
            calibrated = self._misses[key].calibrated(published.version)
            learner.version = replace(calibrated, software=self._software.known(key))
            self._publish(replace(published, version=learner.version))

    def _publish(self, published: Published) -> None:
        if self._on_publish is not None:
            price = profiler_price(published.version.calm)
            metrics = published.metrics if price is None else {**published.metrics, "profiler_price": price}
            self._on_publish(published.version, published.reason, metrics)


def _calm_metrics(version: PredictorVersion) -> dict[str, Any]:
    return {
        "trained_runs": version.trained_runs,
        "calm_source": version.calm_source,
        "calm_runs": version.calm_runs,
    }
