"""The slow clock of one predictor key: gathers rows, freezes the comparisons, refits the runtime model."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from predictors.calm_fit import fit_calm
from predictors.context_features import FROZEN_NAMES, NAMES, calm_levels
from predictors.context_model import LEVELS, ContextModel
from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.run import Run
from predictors.version import PredictorVersion, Spread

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One learned run: its vector as it was before it started, what came out, and its label for reports."""

    features: Floats
    stretch: float
    state_log: float
    condition: str | None


@dataclass(frozen=True)
class Schedule:
    """When and on how much the slow clock works."""

    refit_every_runs: int = 120
    buffer_runs: int = 6_000
    offline_runs: int = 60


class KeyLearner:
    """Learns one key; `version` is always the newest published one."""

    def __init__(self, version: PredictorVersion, schedule: Schedule) -> None:
        self.version = version
        self._schedule = schedule
        self._rows: deque[Row] = deque(maxlen=schedule.buffer_runs)
        self._since_refit = 0
        self.calm_frozen = version.trained_runs > 0

    def fit_calm(self, runs: Sequence[Run], kernels: Mapping[str, tuple[Operator, ...]]) -> None:
        """Fit the calm rung on calm runs and freeze it."""
        self.version = replace(
            self.version,
            calm=fit_calm(runs, kernels),
            levels=calm_levels(runs),
            trained_runs=len(runs),
        )
        self.calm_frozen = True

    def learn(self, row: Row) -> None:
        """Take one finished run in; constant time."""
        self._rows.append(row)
        self._since_refit += 1

    @property
    def due(self) -> bool:
        """Whether enough is new for a refit."""
        return self._since_refit >= self._schedule.refit_every_runs

    def freeze(self) -> None:
        """Fit the rungs that context may inform but later runs may not: what the gathered rows teach."""
        rows, stretches = self._matrix()
        shifts: dict[str, list[float]] = {}
        for row in self._rows:
            shifts.setdefault(row.condition or "", []).append(row.stretch)
        conditions = {name: float(np.median(values)) for name, values in sorted(shifts.items())}
        per_condition = stretches - np.array([conditions[row.condition or ""] for row in self._rows])
        state_only = stretches - np.array([row.state_log for row in self._rows])
        self.version = replace(
            self.version,
            condition_log=conditions,
            context_frozen=ContextModel.fit(rows, stretches, len(FROZEN_NAMES)),
            spreads={
                Rung.CALM: _spread(stretches),
                Rung.PER_CONDITION: _spread(per_condition),
                Rung.STATE_ONLY: _spread(state_only),
            },
        )

    def refit(self) -> PredictorVersion:
        """Fit the runtime model anew on the gathered rows and return the new version."""
        rows, stretches = self._matrix()
        self._since_refit = 0
        self.version = replace(
            self.version,
            runtime=ContextModel.fit(rows, stretches, len(NAMES)),
            trained_runs=self.version.trained_runs + len(rows),
        )
        return self.version

    def _matrix(self) -> tuple[Floats, Floats]:
        if not self._rows:
            return np.empty((0, len(NAMES))), np.empty(0)
        return np.stack([row.features for row in self._rows]), np.array([row.stretch for row in self._rows])


def _spread(residuals: Floats) -> Spread:
    if len(residuals) < 10:
        return Spread()
    return Spread(
        tuple(np.quantile(residuals, LEVELS).tolist()),
        float(np.log(np.mean(np.exp(np.clip(residuals, -2.0, 2.0))))),
    )
