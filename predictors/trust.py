"""How far the runtime rung rests on its trees and on its recent runs; what is left rests on calm.

While the state is fresh a run's log(total / calm) is expected to be

    trees · (what the trees say) + state · (what recent runs alike were),   trees + state <= 1

Both shares are posterior means over a grid: the likelihood is that of Laplace distributed misses of what
was predicted beforehand, newer runs counting more, since trees grow better; the prior moves from recent runs
to trees as runs come in, and hardens. That is stacked regression (Breiman 1996), averaged as in Bayesian
model averaging. Where recent runs are mere noise, or trees have learned noise by heart, calm wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from predictors.buffer import Row

Floats = NDArray[np.float64]

_STEPS = 10
_GRID = np.array([(a, b) for a in range(_STEPS + 1) for b in range(_STEPS + 1 - a)]) / _STEPS
_GROWN_RUNS = 200
"""Runs beyond the calm profile after which trees are expected to need no other help."""

_PRIOR, _RUNS_OF_BELIEF = 5.0, 20.0
"""How strongly that is believed, by the number of runs: trees of many runs only doubt themselves for long."""

_MOST_ROWS = 3_000
_REMEMBERED_RUNS, _REMEMBERED_SHARE = 50.0, 0.5
_MOST_MISS = 1.0
_LEAST_SCALE = 0.02


@dataclass(frozen=True, slots=True)
class Trust:
    """Shares (0 to 1, together at most 1) of the trees and of recent runs in what is expected."""

    trees: float = 0.0
    state: float = 1.0

    @classmethod
    def fit(cls, rows: Sequence[Row], live_runs: int) -> "Trust":
        """Return the shares that foretold `rows` best; `live_runs` came after the calm profile."""
        grown = min(live_runs / _GROWN_RUNS, 1.0)
        belief = _PRIOR + live_runs / _RUNS_OF_BELIEF
        log_odds = -belief * np.abs(_GRID - (grown, 1.0 - grown)).sum(axis=1)
        judged = [row for row in rows if row.group and isfinite(row.trees_log)][-_MOST_ROWS:]
        if judged:
            told = np.array([(row.trees_log, row.state_log) for row in judged])
            stretches = np.array([row.stretch for row in judged])
            misses = np.minimum(np.abs(told @ _GRID.T - stretches[:, None]), _MOST_MISS)
            ages = np.arange(len(judged))[::-1]
            weights = np.exp(-ages / (_REMEMBERED_RUNS + _REMEMBERED_SHARE * len(judged)))
            sums = weights @ misses
            log_odds = log_odds - sums / max(float(sums.min() / weights.sum()), _LEAST_SCALE)
        odds = np.exp(log_odds - log_odds.max())
        trees, state = (odds @ _GRID / odds.sum()).tolist()
        return cls(round(trees, 4), round(state, 4))


CALM_AND_STATE = Trust()
"""Before there are trees: calm as recent runs stretched it."""
