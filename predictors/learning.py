"""The slow clock of one predictor key: gathers rows, freezes the comparisons, refits the runtime model."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.breaks import Breaks
from predictors.buffer import Row, StratifiedBuffer
from predictors.calm_fit import fit_calm
from predictors.calm_gathering import CalmGathering
from predictors.calm_model import CalmModel
from predictors.conformal import Spread
from predictors.context_features import FROZEN_NAMES, NAMES, calm_levels
from predictors.context_model import ContextModel, Lesson, crossed
from predictors.drift import DriftDetector, ResidualDrift
from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.operator_model import FLOOR_US, PRIOR, OperatorModel
from predictors.quarantine import Reputation, honest_runs
from predictors.run import Run
from predictors.trust import Trust
from predictors.version import PredictorVersion

Floats = NDArray[np.float64]

ENOUGH = "enough new runs"
DRIFT = "drift"
REFUSED = "refused refit"
_MISSES = 60
_NEWEST_MISSES = 10
_GAIN_ROWS = 1_000
_GAIN_PRIOR = 1.0
_THIN_ROWS = 1_500
_STATELESS_ROWS = 6_000


@dataclass(frozen=True)
class Schedule:
    """When and on how much the slow clock works, in runs.

    Refits come after a `growth` of what was learned, but no sooner than `least_new_runs` and no later than
    `most_new_runs`. Without a calibration the first `offline_runs` give the calm profile, of each network
    the `quiet_share` that its context calls quietest. The frozen rungs are fitted once, after
    `frozen_after_runs`.
    """

    growth: float = 0.25
    least_new_runs: int = 10
    most_new_runs: int = 300
    buffer_runs: int = 20_000
    offline_runs: int = 60
    quiet_share: float = 0.5
    frozen_after_runs: int = 200


@dataclass(frozen=True)
class Notice:
    """Something the slow clock noticed about a key that made no version: a drift, or a refit it refused.

    `error_before` and `error_after` are mean absolute log errors: before and since a drift began to show, of
    the version in service and of the refused one.
    """

    kind: str
    version: PredictorVersion
    trigger: str
    device_id: str | None = None
    error_before: float | None = None
    error_after: float | None = None
    held_back_runs: int | None = None


@dataclass(frozen=True)
class Published:
    """A new version, why it was made, and how well it did on runs held back."""

    version: PredictorVersion
    reason: str
    metrics: dict[str, Any] = field(default_factory=dict)


def load_libraries() -> None:
    """Load what learning needs and predicting does not (seconds, once), so that no run waits for it."""
    import lightgbm  # noqa: F401
    import river.drift  # noqa: F401


class KeyLearner:
    """Learns one key; `version` is always the newest good one."""

    def __init__(
        self, version: PredictorVersion, schedule: Schedule, detector: DriftDetector | None = None
    ) -> None:
        self.version = version
        self.reputation = Reputation()
        self._schedule = schedule
        self._rows = StratifiedBuffer(schedule.buffer_runs)
        self._detector = detector or ResidualDrift()
        self._drifted = False
        self._misses: deque[float] = deque(maxlen=_MISSES)
        self.notices: list[Notice] = []
        self._new = 0
        self._numbers = 0
        self._fitted = 0
        self._stateless_live = 0
        self._live = 0
        calm_known = version.trained_runs > 0 and version.calm_final
        self.gathering = None if calm_known else CalmGathering(schedule.offline_runs, schedule.quiet_share)

    def profile(
        self,
        runs: Sequence[Run],
        kernels: Mapping[str, tuple[Operator, ...]],
        siblings: OperatorModel | None,
        source: str,
        *,
        final: bool,
    ) -> None:
        """Fit the calm rung on calm runs; a final one is frozen."""
        honest = honest_runs(runs)
        calm = fit_calm(honest, kernels, siblings)
        self.version = replace(
            self.version,
            calm=calm,
            spreads={**self.version.spreads, Rung.CALM: _calm_spread(calm, honest)},
            levels=calm_levels(honest),
            calm_source=source,
            calm_runs=len(honest),
            calm_final=final,
            trained_runs=len(honest),
        )
        if final:
            self.gathering = None

    def lean_on(self, siblings: OperatorModel | None) -> None:
        """Expect of operators what sibling processors tell: nothing was measured here yet."""
        operators = siblings or PRIOR
        if operators is not self.version.calm.operators:
            self.version = replace(self.version, calm=CalmModel(operators=operators))

    def learn(self, rows: Sequence[Row], *, calm: bool) -> None:
        """Take the rows of one finished run in: the run itself first, then stretches cut from it.

        What is noticed on the way is left in `notices`.
        """
        for row in rows:
            self._rows.add(replace(row, number=self._numbers))
            self._numbers += 1
        self._new += 1
        if not calm:
            self._live += 1
        miss = abs(rows[0].stretch - rows[0].predicted)
        if isfinite(miss):
            self._misses.append(miss)
            if self._detector.update(miss) and not self._drifted:
                self._drifted = True
                self.notices.append(self._drift())

    @property
    def due(self) -> str | None:
        """Why a refit is due, None while it is not."""
        schedule = self._schedule
        if self._drifted and self._new >= schedule.least_new_runs:
            return DRIFT
        wanted = min(max(schedule.growth * self._live, schedule.least_new_runs), schedule.most_new_runs)
        return ENOUGH if self._live and self._new >= wanted else None

    @property
    def comparisons_due(self) -> bool:
        """Whether the frozen rungs should be fitted now: enough was seen and they never were."""
        return not self.version.comparisons_final and self._live >= self._schedule.frozen_after_runs

    def freeze(self) -> None:
        """Fit the rungs that earlier conditions may inform but later runs may not."""
        rows = [row for row in self._rows if row.group]
        stretches = np.array([row.stretch for row in rows])
        by_label: dict[str, list[float]] = {}
        for row in rows:
            by_label.setdefault(row.condition or "", []).append(row.stretch)
        conditions = {name: float(np.median(values)) for name, values in sorted(by_label.items())}
        labels = np.array([conditions[row.condition or ""] for row in rows])
        self.version = replace(
            self.version,
            condition_log=conditions,
            context_frozen=self._stateless(self.version.runtime.offsets),
            spreads={
                **self.version.spreads,
                Rung.PER_CONDITION: Spread.fit(stretches - labels),
                Rung.STATE_ONLY: Spread.fit(stretches - np.array([row.slowdown_log for row in rows])),
            },
            comparisons_final=True,
        )

    def refit(self, reason: str) -> Published | None:
        """Fit the runtime model anew; return the version if it is not worse on the newest held-back runs."""
        rows = list(self._rows)
        held = [place for place, row in enumerate(rows) if row.group][-_held_back(self._new) :]
        cut = held[0] if held and len(rows) - held[0] < len(rows) // 4 else len(rows)
        runtime = ContextModel.fit(self._lesson(rows[:cut]), len(NAMES), self.version.runtime.offsets)
        candidate = replace(
            self.version,
            runtime=runtime,
            stateless=self._context_alone(runtime.offsets),
            correction_gain=_correction_gain(rows),
            breaks=Breaks.fit(rows),
            trust=Trust.fit(rows, self._live),
            trained_runs=self.version.calm_runs + self._live,
        )
        metrics = self._judge(candidate, [row for row in rows[cut:] if row.group])
        metrics |= {
            "calm_source": candidate.calm_source,
            "calm_runs": candidate.calm_runs,
            "new_runs": self._new,
            "fitted_rows": cut,
        }
        self._new, self._fitted, self._drifted = 0, self._numbers, False
        if metrics.get("held_back_error", 0.0) > 1.1 * metrics.get("serving_error", 0.0) + 0.01:
            self.notices.append(
                Notice(
                    REFUSED,
                    self.version,
                    reason,
                    error_before=metrics["serving_error"],
                    error_after=metrics["held_back_error"],
                    held_back_runs=metrics["held_back_runs"],
                )
            )
            return None
        if cut < len(rows) < _THIN_ROWS:
            # Nothing is fresh any more, so the offsets stay as they were just refined.
            runtime = ContextModel.fit(self._lesson(rows), len(NAMES), candidate.runtime.offsets)
            candidate = replace(candidate, runtime=runtime)
            metrics["fitted_rows"] = len(rows)
        self.version = candidate
        return Published(candidate, reason, {"trained_runs": candidate.trained_runs, **metrics})

    def _drift(self) -> Notice:
        """Describe the drift just flagged by the misses before it and the newest ones."""
        misses = list(self._misses)
        before, newest = misses[:-_NEWEST_MISSES], misses[-_NEWEST_MISSES:]
        return Notice(
            DRIFT,
            self.version,
            "prediction errors grew",
            error_before=float(np.mean(before)) if before else None,
            error_after=float(np.mean(newest)),
        )

    def _judge(self, candidate: PredictorVersion, held: Sequence[Row]) -> dict[str, Any]:
        """Compare a candidate with what was predicted at the time, on runs that neither had learned from."""
        judged = [row for row in held if isfinite(row.predicted)]
        if len(judged) < 8:
            return {}
        stretches = np.array([row.stretch for row in judged])
        served = np.array([row.predicted for row in judged])
        ours = np.array(
            [candidate.expectation(row.features, row.group, row.state_log).stretch.median for row in judged]
        )
        return {
            "held_back_runs": len(judged),
            "held_back_error": float(np.abs(stretches - ours).mean()),
            "serving_error": float(np.abs(stretches - served).mean()),
        }

    def _lesson(self, rows: Sequence[Row]) -> Lesson:
        if not rows:
            return Lesson(np.empty((0, len(NAMES))), np.empty(0), [], np.empty(0), np.empty(0), 0)
        return Lesson(
            np.stack([row.features for row in rows]),
            np.array([row.stretch for row in rows]),
            [row.group for row in rows],
            np.array([row.weight for row in rows]),
            np.array([row.predicted for row in rows]),
            sum(row.number >= self._fitted for row in rows),
        )

    def _context_alone(self, offsets: Mapping[str, float]) -> ContextModel:
        """Return what context alone tells, fitted anew once there is half as much again to learn from."""
        if self._live and self._live < 1.5 * self._stateless_live and self.version.stateless.median:
            return self.version.stateless
        self._stateless_live = self._live
        return self._stateless(offsets)

    def _stateless(self, offsets: Mapping[str, float]) -> ContextModel:
        """Fit what context alone tells, on rows newest enough; networks keep the offsets they have."""
        rows = list(self._rows)[-_STATELESS_ROWS:]
        lesson = replace(self._lesson(rows), fresh=0)
        return ContextModel.fit(crossed(lesson, len(FROZEN_NAMES)), len(FROZEN_NAMES), offsets)


def _calm_spread(calm: CalmModel, runs: Sequence[Run]) -> Spread:
    """Return how calm runs scatter around what is expected of them: all that an offline profile knows."""
    measured = np.log([max(run.total_us, FLOOR_US) for run in runs])
    expected = np.array([calm.calm(run.query).log_total_us for run in runs])
    return Spread.fit(measured - expected)


def _held_back(new_runs: int) -> int:
    return min(max(new_runs // 4, 1), 32)


def _correction_gain(rows: Sequence[Row]) -> float:
    """Return how much of the mean recent miss later runs showed: ridge regression, none of it assumed."""
    newest = [row for row in rows if row.group and isfinite(row.uncorrected)][-_GAIN_ROWS:]
    states = np.clip([row.miss_log for row in newest], -1.0, 1.0)
    misses = np.clip([row.stretch - row.uncorrected for row in newest], -1.0, 1.0)
    gain = states @ misses / (states @ states + _GAIN_PRIOR)
    return round(min(max(float(gain), 0.0), 1.0), 4)
