"""The slow clock of one predictor key: gathers rows, freezes the comparisons, refits the runtime model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from predictors import increments
from predictors.buffer import Row, StratifiedBuffer
from predictors.calm_fit import fit_calm
from predictors.calm_gathering import CalmGathering
from predictors.calm_model import CalmModel
from predictors.conformal import Spread
from predictors.context_features import NAMES, calm_levels
from predictors.context_model import ContextModel
from predictors.drift import DriftDetector, MissWatch, ResidualDrift
from predictors.forecast import Rung
from predictors.gate import Verdict, held_back
from predictors.graph import Operator
from predictors.notices import REFUSED, Notice, Published
from predictors.operator_model import FLOOR_US, PRIOR, OperatorModel
from predictors.quarantine import Reputation, honest_runs
from predictors.refits import comparisons_frozen, context_alone, lesson_of, rebuilt
from predictors.run import Run
from predictors.schedule import APPENDED, DRIFT, FULL, Agenda, Schedule
from predictors.trust import Trust
from predictors.version import PredictorVersion

Floats = NDArray[np.float64]

_THIN_ROWS = 1_500


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
        self.notices: list[Notice] = []
        self._schedule = schedule
        self._rows = StratifiedBuffer(schedule.buffer_runs)
        self._agenda = Agenda(schedule)
        self._watch = MissWatch(detector or ResidualDrift())
        self._numbers = 0
        self._fresh_from = 0
        self._refused = False
        self._stateless_live = 0
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
        self._agenda.count(calm=calm)
        miss = abs(rows[0].stretch - rows[0].predicted)
        if isfinite(miss) and self._watch.update(miss) and not self._agenda.drifted:
            self._agenda.drifted = True
            before, since = self._watch.errors()
            self.notices.append(
                Notice(
                    DRIFT,
                    self.version,
                    "prediction errors grew",
                    error_before=before,
                    error_after=since,
                )
            )

    @property
    def due(self) -> str | None:
        """Why a fit is due, None while it is not."""
        reason = self._agenda.due
        if reason != APPENDED:
            return reason
        if increments.possible(self.version):
            return reason
        return FULL if self.version.runtime.appended and not self._refused else None

    @property
    def comparisons_due(self) -> bool:
        """Whether the frozen rungs should be fitted now: enough was seen and they never were."""
        return not self.version.comparisons_final and self._agenda.live >= self._schedule.frozen_after_runs

    def freeze(self) -> None:
        """Fit the rungs that earlier conditions may inform but later runs may not."""
        self.version = comparisons_frozen(self.version, list(self._rows))

    def refit(self, reason: str) -> Published | None:
        """Append trees or fit anew, as the reason asks for; return the version if it may serve.

        A drift is answered by appended trees where they are better already, else by a rebuild.
        """
        if reason in (APPENDED, DRIFT) and increments.possible(self.version):
            published = self._append(reason)
            if published is not None or reason == APPENDED:
                return published
        return self._rebuild(reason)

    def _append(self, reason: str) -> Published | None:
        """Append trees for what came since the last fit; return the version if it is clearly better."""
        self._agenda.tried()
        newest = self._rows.newer(self._fresh_from)[-increments.NEWEST_ROWS :]
        new_runs = sum(bool(row.group) for row in newest)
        cut = held_back(newest, new_runs)
        if not cut:
            return None
        older = self._rows.older(newest[0].number, increments.OLDER_ROWS)
        lesson = increments.balanced(older, newest[:cut], self._fresh_from)
        present = self._aged(self.version)
        candidate = increments.grown(present, lesson, newest[cut:], self._schedule.append_margin)
        if candidate is present:
            return None
        self._fresh_from = newest[cut].number
        self._agenda.drifted = False
        verdict = Verdict.of(candidate, newest[cut:])
        return self._publish(candidate, reason, verdict, fitted_rows=len(lesson), new_runs=new_runs)

    def _rebuild(self, reason: str) -> Published | None:
        """Fit everything anew; return the version if it is not worse on the newest held-back runs."""
        rows = list(self._rows)
        new_runs = self._agenda.new
        cut = held_back(rows, new_runs)
        if len(rows) - cut >= len(rows) // 4:
            cut = len(rows)
        candidate = self._aged(rebuilt(self.version, rows[:cut], self._fresh_from, rows[cut:]))
        candidate = replace(
            candidate,
            stateless=self._context_alone(candidate.runtime.offsets),
            trust=Trust.fit(rows, self._agenda.live),
        )
        verdict = Verdict.of(candidate, rows[cut:])
        self._agenda.rebuilt()
        self._fresh_from = self._numbers
        self._refused = not verdict.not_worse
        if self._refused:
            self.notices.append(
                Notice(
                    REFUSED,
                    self.version,
                    reason,
                    error_before=verdict.rival_error,
                    error_after=verdict.error,
                    held_back_runs=verdict.runs,
                )
            )
            return None
        if cut < len(rows) < _THIN_ROWS:
            # Nothing is fresh any more, so the offsets stay as they were just refined.
            runtime = ContextModel.fit(lesson_of(rows, self._numbers), len(NAMES), candidate.runtime.offsets)
            candidate, cut = replace(candidate, runtime=runtime), len(rows)
        return self._publish(candidate, reason, verdict, fitted_rows=cut, new_runs=new_runs)

    def _aged(self, candidate: PredictorVersion) -> PredictorVersion:
        """Return the candidate with how many runs it rests on."""
        return replace(candidate, trained_runs=self.version.calm_runs + self._agenda.live)

    def _publish(
        self, candidate: PredictorVersion, reason: str, verdict: Verdict, **counts: int
    ) -> Published:
        self.version = candidate
        trees = candidate.runtime.median
        metrics = {
            "trained_runs": candidate.trained_runs,
            "calm_source": candidate.calm_source,
            "calm_runs": candidate.calm_runs,
            "trees": 0 if trees is None else trees.tree_count,
            "appended_trees": candidate.runtime.appended,
            **counts,
            **verdict.metrics,
        }
        return Published(candidate, reason, metrics)

    def _context_alone(self, offsets: Mapping[str, float]) -> ContextModel:
        """Return what context alone tells, fitted anew once there is half as much again to learn from."""
        live = self._agenda.live
        if live and live < 1.5 * self._stateless_live and self.version.stateless.median:
            return self.version.stateless
        self._stateless_live = live
        return context_alone(list(self._rows), offsets)


def _calm_spread(calm: CalmModel, runs: Sequence[Run]) -> Spread:
    """Return how calm runs scatter around what is expected of them: all that an offline profile knows."""
    measured = np.log([max(run.total_us, FLOOR_US) for run in runs])
    expected = np.array([calm.calm(run.query).log_total_us for run in runs])
    return Spread.fit(measured - expected)
