"""What one key's predictions missed by, newest first to stay: what its intervals are made of."""

from collections import deque
from dataclasses import replace

import numpy as np

from predictors.conformal import Calibration
from predictors.device_state import DeviceState
from predictors.forecast import RunForecast, Rung
from predictors.operator_scatter import OperatorMisses
from predictors.run import Run
from predictors.version import PredictorVersion, Score

_SCORES = 3_000
_FROZEN_RUNS = 200
_ENOUGH_SCORES = 500
_FROZEN: tuple[Rung, ...] = tuple(rung for rung in Rung if rung is not Rung.RUNTIME)


class Misses:
    """Gathers misses of predictions that were made before their runs were learned from; bounded."""

    def __init__(self) -> None:
        self._scores: deque[Score] = deque(maxlen=_SCORES)
        self._operators = OperatorMisses()
        self._timed: deque[tuple[Run, DeviceState]] = deque(maxlen=_FROZEN_RUNS)

    def add(self, run: Run, before: DeviceState, forecast: RunForecast, score: Score) -> None:
        """Take in a finished run, the state before it, its runtime forecast and its standardised miss."""
        self._scores.append(score)
        if 0 < len(run.latency_us) == len(forecast.operators_us):
            self._operators.add(run.latency_us, forecast.operators_us, forecast.stretch_log)
            self._timed.append((run, before))

    def calibrated(self, version: PredictorVersion) -> PredictorVersion:
        """Return the version with intervals fitted to these misses, unless it rests on more already."""
        if len(self._scores) < min(version.calibration.count, _ENOUGH_SCORES):
            return version
        scores = np.array([score.value for score in self._scores])
        signs = np.array([score.signs for score in self._scores])
        misses_log = np.array([score.miss_log for score in self._scores])
        calibration = Calibration.fit(scores, signs, misses_log)
        scatters = {**version.scatters, Rung.RUNTIME: self._operators.scatter()}
        return replace(version, calibration=calibration, scatters=scatters)

    def frozen(self, version: PredictorVersion) -> PredictorVersion:
        """Return the version with the scatter of operators around the frozen rungs, which then stays."""
        misses: dict[Rung, OperatorMisses] = {rung: OperatorMisses() for rung in _FROZEN}
        for run, before in self._timed:
            for rung, forecast in version.forecast(run.query, before, _FROZEN).items():
                if len(forecast.operators_us) == len(run.latency_us):
                    misses[rung].add(run.latency_us, forecast.operators_us, forecast.stretch_log)
        fitted = {rung: found.scatter(centred=True) for rung, found in misses.items()}
        return replace(version, scatters={**version.scatters, **fitted})
