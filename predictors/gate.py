"""Is a candidate good enough to serve? Judged on the newest runs, which it did not learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.buffer import Row
from predictors.version import PredictorVersion

_LEAST_RUNS = 8
_MOST_RUNS = 32
_WORSE, _WORSE_LOG = 1.1, 0.01


@dataclass(frozen=True, slots=True)
class Verdict:
    """Mean absolute log errors of a candidate and of its rival on the same runs.

    `doubt` is the standard error of their mean difference.
    """

    runs: int = 0
    error: float = 0.0
    rival_error: float = 0.0
    doubt: float = 0.0

    @classmethod
    def of(
        cls, candidate: PredictorVersion, held_back: Sequence[Row], rival: PredictorVersion | None = None
    ) -> "Verdict":
        """Judge on rows that neither had learned from; too few of them tell nothing.

        The rival is what was predicted at the time, corrections by recent misses included, or a version.
        """
        judged = [row for row in held_back if row.group and isfinite(row.predicted)]
        if len(judged) < _LEAST_RUNS:
            return cls()
        served = np.array([row.predicted for row in judged]) if rival is None else _medians(rival, judged)
        stretches = np.array([row.stretch for row in judged])
        rivals, own = np.abs(stretches - served), np.abs(stretches - _medians(candidate, judged))
        doubt = (rivals - own).std(ddof=1) / np.sqrt(len(judged))
        return cls(len(judged), float(own.mean()), float(rivals.mean()), float(doubt))

    @property
    def not_worse(self) -> bool:
        """Whether the candidate may take over; where nothing can be told, it may."""
        return self.error <= _WORSE * self.rival_error + _WORSE_LOG

    def better(self, margin: float) -> bool:
        """Whether the candidate is better by more than so many standard errors."""
        return self.runs > 0 and self.rival_error - self.error > margin * self.doubt

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures by name where the rival served; empty where nothing can be told."""
        if not self.runs:
            return {}
        return {
            "held_back_runs": self.runs,
            "held_back_error": self.error,
            "serving_error": self.rival_error,
        }


def held_back(rows: Sequence[Row], new_runs: int) -> int:
    """Return where the rows begin that no candidate learns from: the newest quarter of the new runs."""
    held = min(max(new_runs // 4, 1), _MOST_RUNS)
    places = [place for place, row in enumerate(rows) if row.group][-held:]
    return places[0] if places else len(rows)


def _medians(version: PredictorVersion, rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.array(
        [version.expectation(row.features, row.group, row.state_log).stretch.median for row in rows]
    )
