"""Prediction intervals that keep their promise: quantiles of past misses, widened or narrowed online.

A miss is log(measured / predicted). How misses scatter is learned from predictions that were made before
their runs were learned from (split conformal prediction, Lei et al. 2018); how far an interval must be
widened or narrowed now is tracked for each device by adaptive conformal inference (Gibbs & Candès 2021,
arXiv 2106.00170) on the log of its width, as quantile tracking does it (Angelopoulos, Candès & Tibshirani
2023, arXiv 2307.16895): widths stay finite, and the share of misses tends to the one promised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]

LEVELS = (0.005, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995)
"""Quantile levels that are kept of every distribution of misses."""

INTERVALS = (0.5, 0.9, 0.99)
"""Shares of runs that the central intervals are meant to hold."""

_MEDIAN = LEVELS.index(0.5)

ENDS = ((2, 4), (1, 6), (0, 8))
"""Where in `LEVELS` the low and the high end of each of `INTERVALS` are."""

NORMAL = np.array([-2.576, -1.645, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326, 2.576])
"""Quantiles (at `LEVELS`) of a normal distribution."""

MOST_WIDTH_LOG = 1.5
"""No interval becomes wider or narrower than by this factor (e^1.5 = 4.5), whatever happens."""

LEAST_REACH_LOG = 1.5
"""Intervals may end this far (log) from their point whatever was seen: a factor of 4.5."""

_BEYOND, _MOST_REACH_LOG = 1.5, 20.0
"""How much farther (in logs) than the largest miss that was seen intervals may end."""

UNTRIED_SCORES = (-5.0, -2.2, -0.8, 0.0, 0.8, 1.6, 2.4, 5.0, 6.0)
"""Quantiles (at `LEVELS`) of misses over their typical size before any was seen."""

_RATE = 0.04
_ASSUMED = 30
_LEAST_SCORES = 60
_LEAST_SCORE, _MOST_SCORE = 0.1, 10.0
_RIDGE = 20.0
_TAIL, _SMOOTHING = 0.9, 0.1
_MOST_ALARM_LOG = 1.1
_MOST_QUANTILE = 40.0
_LEAST_MISSES = 10
_MOST_MISS = 2.0


@dataclass(frozen=True)
class Spread:
    """Frozen quantiles (at `LEVELS`) of log(total / point) and log E[ratio], where no model gives them."""

    quantiles: tuple[float, ...] = (-1.4, -0.7, -0.25, 0.0, 0.25, 0.5, 0.7, 1.4, 1.8)
    smear_log: float = 0.0

    @classmethod
    def fit(cls, misses: Floats) -> "Spread":
        """Return the spread of misses, shape (n,); the default where they are too few."""
        if len(misses) < _LEAST_MISSES:
            return cls()
        return cls(
            tuple(np.quantile(misses, LEVELS).tolist()),
            float(np.log(np.mean(np.exp(np.clip(misses, -_MOST_MISS, _MOST_MISS))))),
        )


@dataclass(frozen=True)
class Calibration:
    """How standardised misses (miss / predicted spread) of one key scattered, predicted before they happened.

    `quantiles` (at `LEVELS`) are empty before anything was seen; few scores lean on some that are assumed, so
    that they claim no more than they tell. Some signs (`predictors.alarms`) announce larger misses than the
    predicted spread tells: `alarm` is by how much, `sign_weights` what each adds to its log. `count` is how
    many misses were seen. `reach_log` is how far (log) from its point an interval may end at all: somewhat
    farther than any miss that was seen, whatever is announced.
    """

    quantiles: tuple[float, ...] = ()
    sign_weights: tuple[float, ...] = ()
    count: int = 0
    reach_log: float = LEAST_REACH_LOG

    @classmethod
    def fit(cls, scores: Floats, signs: Floats, misses_log: Floats) -> "Calibration":
        """Fit on n scores, signs of shape (n, k), k of at least 1, and the misses themselves, shape (n,)."""
        if not len(scores):
            return NOT_CALIBRATED
        found = cls(sign_weights=_sign_weights(scores, signs))
        alarms = np.array([found.alarm(row) for row in signs])
        known = np.concatenate([scores / alarms, _assumed_scores()])
        quantiles = np.clip(np.quantile(known, LEVELS), -_MOST_QUANTILE, _MOST_QUANTILE)
        reach = max(LEAST_REACH_LOG, _BEYOND * float(np.abs(misses_log).max()))
        return replace(
            found,
            quantiles=tuple(np.round(quantiles, 4).tolist()),
            count=len(scores),
            reach_log=round(min(reach, _MOST_REACH_LOG), 4),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibration":
        """Rebuild a calibration from plain data: its fields by name."""
        return cls(tuple(data["quantiles"]), tuple(data["sign_weights"]), data["count"], data["reach_log"])

    def alarm(self, signs: Floats) -> float:
        """Return by what factor (1 to 3) intervals are wider because of a run's signs, shape (k,)."""
        if not self.sign_weights:
            return 1.0
        return float(np.exp(min(float(signs @ np.array(self.sign_weights)), _MOST_ALARM_LOG)))


NOT_CALIBRATED = Calibration()
"""No run was predicted yet."""


@dataclass(frozen=True, slots=True)
class Widths:
    """What a device's misses say of the intervals: by how much (log) each of `INTERVALS` is widened.

    `run` is for whole runs, `operators` for single operators.
    """

    run: tuple[float, ...] = (0.0,) * len(INTERVALS)
    operators: tuple[float, ...] = (0.0,) * len(INTERVALS)

    def after_run(self, score: float, quantiles: ArrayLike, doubt: float = 0.0) -> "Widths":
        """Return the widths after a run whose standardised miss was `score`.

        `quantiles` (at `LEVELS`) are those that its intervals were made of, before widening; `doubt` is that
        of `doubted`, in the same units.
        """
        ends = doubted(widened(quantiles, self.run), doubt)
        inside = [float(ends[low] <= score <= ends[high]) for low, high in ENDS]
        return replace(self, run=_adapted(self.run, inside))

    def after_operators(self, inside: Sequence[float]) -> "Widths":
        """Return the widths after a run of whose operators each interval held these shares."""
        return replace(self, operators=_adapted(self.operators, inside))

    def wider(self, by_log: float) -> "Widths":
        """Return all widths widened: something changed that nothing was learned about."""
        return Widths(
            *(tuple(min(w + by_log, MOST_WIDTH_LOG) for w in part) for part in (self.run, self.operators))
        )

    def to_list(self) -> list[float]:
        """Return all factors, those of runs first."""
        return [*self.run, *self.operators]

    @classmethod
    def from_list(cls, values: Sequence[float]) -> "Widths":
        """Rebuild widths."""
        return cls(tuple(values[: len(INTERVALS)]), tuple(values[len(INTERVALS) :]))


NO_WIDTHS = Widths()
"""Nothing was missed yet: intervals as wide as past misses were."""


def widened(quantiles: ArrayLike, widths_log: Sequence[float]) -> Floats:
    """Return quantiles at `LEVELS`, shape (..., 9), the ends of each interval moved by its own log width.

    They never fall along a row; levels that end no interval lie between the ends around them as before.
    """
    factors = _BETWEEN_ENDS @ np.exp(widths_log)
    return np.asarray(np.maximum.accumulate(np.asarray(quantiles) * factors, axis=-1))


def doubted(quantiles: ArrayLike, doubt: float) -> Floats:
    """Return quantiles at `LEVELS`, shape (..., 9), where their level itself may be off.

    `doubt` is the standard deviation of a normal error of the level, independent of the scatter around it.
    """
    known = np.asarray(quantiles, dtype=np.float64)
    if not doubt:
        return known
    median = known[..., _MEDIAN : _MEDIAN + 1]
    return np.asarray(median + np.sign(NORMAL) * np.hypot(known - median, doubt * NORMAL))


def _sign_weights(scores: Floats, signs: Floats) -> tuple[float, ...]:
    """Return what each sign adds to the log of the scores' tail; nothing while scores are few."""
    if len(scores) < _LEAST_SCORES:
        return ()
    scale = signs.std(axis=0) + 1e-9
    standard = (signs - signs.mean(axis=0)) / scale
    slopes = _tail_slopes(standard, np.log(np.clip(np.abs(scores), _LEAST_SCORE, _MOST_SCORE)))
    return tuple(np.round(slopes / scale, 4).tolist())


def _assumed_scores() -> Floats:
    """Return scores that lie as `UNTRIED_SCORES` say, shape (n,)."""
    return np.interp((np.arange(_ASSUMED) + 0.5) / _ASSUMED, LEVELS, UNTRIED_SCORES)


def _tail_slopes(rows: Floats, targets: Floats) -> Floats:
    """Return slopes, shape (k,), none negative, of a quantile regression of targets on rows, shape (n, k).

    The pinball loss (Koenker & Bassett 1978) is smoothed to have a gradient everywhere, and ridged.
    """

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slopes = parameters[1:]
        left = (targets - parameters[0] - rows @ slopes) / _SMOOTHING
        pinball = _SMOOTHING * (_TAIL * left + np.logaddexp(0.0, -left)).sum()
        above = _TAIL - 1.0 / (1.0 + np.exp(np.clip(left, -30.0, 30.0)))
        gradient = np.array([-above.sum(), *(2.0 * _RIDGE * slopes - above @ rows)])
        return float(pinball + _RIDGE * slopes @ slopes), gradient

    start = np.array([np.quantile(targets, _TAIL), *np.zeros(rows.shape[1])])
    bounds = [(None, None)] + [(0.0, None)] * rows.shape[1]
    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[1:]
    return found


def _between_ends() -> Floats:
    """Return the share of each interval's factor in that of each level, shape (9, 3)."""
    place = {end: interval for interval, ends in enumerate(ENDS) for end in ends}
    shares = np.eye(len(INTERVALS))[[place[end] for end in sorted(place)]]
    return np.column_stack([np.interp(range(len(LEVELS)), sorted(place), column) for column in shares.T])


_BETWEEN_ENDS = _between_ends()


def _adapted(widths_log: Sequence[float], inside: Sequence[float]) -> tuple[float, ...]:
    """Step each log width by the share of misses beyond what its interval allows."""
    return tuple(
        round(min(max(width + _RATE * (level - held), -MOST_WIDTH_LOG), MOST_WIDTH_LOG), 4)
        for width, level, held in zip(widths_log, INTERVALS, inside, strict=True)
    )
