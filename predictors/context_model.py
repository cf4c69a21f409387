"""How circumstances stretch a run: boosted trees on log(total / calm), its median and its spread.

log(total / calm) = effect(circumstances, state) + offset(network)

The effect is identified by calm runs being part of every fit and by nothing in its input telling networks
apart; what a network's own runs leave over is its offset, shrunk, and 0 for networks nobody learned from.
Median and spread are separate fits. Spread, tails and mean come from misses of predictions that were made
before their runs were learned from (split conformal prediction with normalised residuals: Lei et al. 2018).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.boosted import Boosted
from predictors.conformal import LEVELS

Floats = NDArray[np.float64]

_NORMAL = (-5.0, -2.2, -0.8, 0.0, 0.8, 1.6, 2.4, 5.0, 6.0)
_MEDIAN: Mapping[str, Any] = {
    "objective": "l1",
    "learning_rate": 0.07,
    "num_leaves": 31,
    "min_data_in_leaf": 12,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}
_APPENDED: Mapping[str, Any] = {
    **_MEDIAN,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "bin_construct_sample_cnt": 500,
}
_SPREAD: Mapping[str, Any] = {**_MEDIAN, "objective": "l2", "num_leaves": 12, "min_data_in_leaf": 30}
_MEDIAN_ROUNDS = 70
_SPREAD_ROUNDS = 40
_LEAST_ROWS = 30
LEAST_SPREAD = 0.005
"""No spread is smaller, however regular the runs were."""
_SHRINK_RUNS = 20.0
_JUDGED_ROWS = 1_500
_MOST_LOG = 2.0
_MOST_OFFSETS = 2_000


@dataclass(frozen=True)
class Lesson:
    """What a fit learns from: n rows in time order.

    `rows` (n, >= width); `stretches` (n,) are log(total / calm); `groups` name each row's network and way of
    timing, empty for rows cut from a longer run; `weights` (n,); `predicted` (n,) the median predicted
    before the row was learned from, NaN where none was; the last `fresh` rows no fit has met yet.
    """

    rows: Floats
    stretches: Floats
    groups: Sequence[str]
    weights: Floats
    predicted: Floats
    fresh: int

    def __len__(self) -> int:
        return len(self.stretches)


@dataclass(frozen=True)
class Stretch:
    """Predicted log(total / calm): its median, spread (typical absolute miss) and log of the mean."""

    median: float
    spread: float
    log_mean: float

    def shifted(self, by_log: float) -> "Stretch":
        """Return the same distribution moved on the log scale."""
        return Stretch(self.median + by_log, self.spread, self.log_mean + by_log)

    def blended(self, other: "Stretch", share: float, chance: float) -> "Stretch":
        """Return a median of `share` of this distribution and the rest of another.

        This one holds with a `chance`, else the other: the spread is how far the run may then be from there.
        """
        rest = 1.0 - share
        median = share * self.median + rest * other.median
        own, others = (part.spread + abs(part.median - median) for part in (self, other))
        return Stretch(
            median,
            chance * own + (1.0 - chance) * others,
            share * self.log_mean + rest * other.log_mean,
        )


@dataclass(frozen=True)
class ContextModel:
    """Median and spread of log(total / calm) given a vector of circumstances.

    `standard` are the quantiles at `LEVELS` of miss / spread, `smear` the mean of (exp(miss) - 1) / spread;
    `appended` counts the trees of the median that came after it was built.
    """

    width: int
    median: Boosted | None = None
    spread: Boosted | None = None
    offsets: Mapping[str, float] = field(default_factory=dict)
    default_spread: float = 0.25
    standard: tuple[float, ...] = _NORMAL
    smear: float = 0.0
    appended: int = 0

    @classmethod
    def fit(cls, lesson: Lesson, width: int, offsets: Mapping[str, float] | None = None) -> "ContextModel":
        """Fit the first `width` columns; `offsets` are those already known, refined by the newest misses."""
        if len(lesson) < _LEAST_ROWS:
            return cls(width)
        rows = np.ascontiguousarray(lesson.rows[:, :width])
        refined = _offsets(lesson, offsets or {})
        shifts = np.array([refined.get(group, 0.0) for group in lesson.groups])
        median = Boosted.fit(
            rows,
            lesson.stretches - shifts,
            rounds=_MEDIAN_ROUNDS,
            parameters=_MEDIAN,
            weights=lesson.weights,
        )
        judged = np.flatnonzero(np.isfinite(lesson.predicted))[-_JUDGED_ROWS:]
        if len(judged) < _LEAST_ROWS:
            misses = lesson.stretches - shifts - median.predict(rows)
            return cls(width, median, None, refined, max(float(np.abs(misses).mean()), LEAST_SPREAD))
        misses = lesson.stretches[judged] - lesson.predicted[judged]
        spread = Boosted.fit(
            rows[judged],
            np.log(np.maximum(np.abs(misses), LEAST_SPREAD)),
            rounds=_SPREAD_ROUNDS,
            parameters=_SPREAD,
        )
        scale = np.exp(spread.predict(rows[judged]))
        return cls(
            width,
            median,
            spread,
            refined,
            float(np.abs(misses).mean()),
            tuple(np.quantile(misses / scale, LEVELS).tolist()),
            float(np.mean(np.expm1(np.clip(misses, -_MOST_LOG, _MOST_LOG))) / np.mean(scale)),
        )

    def extended(self, lesson: Lesson, rounds: int) -> "ContextModel":
        """Append up to `rounds` trees to the median, fitted to what it leaves over; offsets are refined.

        Spread and quantiles stay: they are of misses made beforehand. A model without trees stays as it is.
        """
        if self.median is None:
            return self
        refined = _offsets(lesson, self.offsets)
        shifts = np.array([refined.get(group, 0.0) for group in lesson.groups])
        median = self.median.extended(
            np.ascontiguousarray(lesson.rows[:, : self.width]),
            lesson.stretches - shifts,
            rounds=rounds,
            parameters=_APPENDED,
            weights=lesson.weights,
        )
        more = median.tree_count - self.median.tree_count
        return replace(self, median=median, offsets=refined, appended=self.appended + more)

    def predict(self, row: Floats, group: str = "") -> Stretch:
        """Return the distribution for one row of shape (>= width,) of a network in `group`."""
        if self.median is None:
            return Stretch(0.0, self.default_spread, 0.0)
        one = row[None, : self.width]
        median = float(self.median.predict(one)[0]) + self.offsets.get(group, 0.0)
        spread = self.default_spread
        if self.spread is not None:
            spread = max(float(np.exp(self.spread.predict(one)[0])), LEAST_SPREAD)
        return Stretch(median, spread, median + float(np.log1p(max(self.smear * spread, -0.5))))

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain data."""
        return {
            "width": self.width,
            "median": None if self.median is None else self.median.text,
            "spread": None if self.spread is None else self.spread.text,
            "offsets": dict(self.offsets),
            "default_spread": self.default_spread,
            "standard": list(self.standard),
            "smear": self.smear,
            "appended": self.appended,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ContextModel":
        """Rebuild a model from plain data."""
        return cls(
            data["width"],
            None if data["median"] is None else Boosted(data["median"]),
            None if data["spread"] is None else Boosted(data["spread"]),
            data["offsets"],
            data["default_spread"],
            tuple(data["standard"]),
            data["smear"],
            data["appended"],
        )


def crossed(lesson: Lesson, width: int) -> Lesson:
    """Return the lesson with `predicted` by the first `width` columns alone, for the last third of its rows.

    A model fitted on the first two thirds predicts the rest, so that misses are honest ones.
    """
    predicted = np.full(len(lesson), np.nan)
    cut = len(lesson) * 2 // 3
    if cut >= _LEAST_ROWS:
        rows = np.ascontiguousarray(lesson.rows[:, :width])
        early = Boosted.fit(
            rows[:cut],
            lesson.stretches[:cut],
            rounds=_MEDIAN_ROUNDS // 2,
            parameters={**_MEDIAN, "learning_rate": 0.12},
            weights=lesson.weights[:cut],
        )
        predicted[cut:] = early.predict(rows[cut:])
    return replace(lesson, predicted=predicted)


def _offsets(lesson: Lesson, known: Mapping[str, float]) -> dict[str, float]:
    """Return each network's offset, moved by the median miss of its fresh rows, less the fewer they are."""
    misses: dict[str, list[float]] = {}
    for place in range(len(lesson) - lesson.fresh, len(lesson)):
        group, miss = lesson.groups[place], float(lesson.stretches[place] - lesson.predicted[place])
        if group and np.isfinite(miss):
            misses.setdefault(group, []).append(miss)
    refined = dict(known)
    for group, values in sorted(misses.items()):
        share = len(values) / (len(values) + _SHRINK_RUNS)
        refined[group] = round(refined.pop(group, 0.0) + share * float(np.median(values)), 5)
    return dict(list(refined.items())[-_MOST_OFFSETS:])
