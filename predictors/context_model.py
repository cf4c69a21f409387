"""How circumstances stretch a run: boosted trees on log(total / calm), its median and its spread.

The effect is 1 (log 0) at the reference context by construction: calm runs are part of every fit. Median
and spread are separate fits; the mean and the tails follow from residuals standardised by the spread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.boosted import Boosted

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Quantile levels of the standardised residual that are kept."""

_NORMAL = (-1.8, -0.6, 0.0, 0.6, 1.6, 2.4, 5.0)
_PARAMETERS: Mapping[str, Any] = {
    "learning_rate": 0.07,
    "num_leaves": 15,
    "min_data_in_leaf": 12,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}
_ROUNDS = 90
_SPREAD_ROUNDS = 40
_LEAST_ROWS = 30
_LEAST_SPREAD = 0.01


@dataclass(frozen=True)
class Stretch:
    """Predicted log(total / calm): its median, spread (mean absolute residual) and log of the mean."""

    median: float
    spread: float
    log_mean: float


@dataclass(frozen=True)
class ContextModel:
    """Median and spread of log(total / calm) given a vector of circumstances.

    `standard` are the quantiles at `LEVELS` of (log(total / calm) - median) / spread, and `smear_log` is the
    log of the mean of exp of the residual.
    """

    width: int
    median: Boosted | None = None
    spread: Boosted | None = None
    default_spread: float = 0.25
    standard: tuple[float, ...] = _NORMAL
    smear_log: float = 0.0

    @classmethod
    def fit(
        cls, rows: Floats, stretches: Floats, width: int, weights: Floats | None = None
    ) -> "ContextModel":
        """Fit on rows of shape (n, >= width), of which the first `width` columns are used, in time order."""
        if len(rows) < _LEAST_ROWS:
            return cls(width)
        rows = np.ascontiguousarray(rows[:, :width])
        median = Boosted.fit(
            rows, stretches, rounds=_ROUNDS, parameters={**_PARAMETERS, "objective": "l1"}, weights=weights
        )
        # The last quarter, predicted by a model that has not met it, tells how far a prediction misses.
        cut = len(rows) * 3 // 4
        early = Boosted.fit(
            rows[:cut],
            stretches[:cut],
            rounds=_ROUNDS,
            parameters={**_PARAMETERS, "objective": "l1"},
            weights=None if weights is None else weights[:cut],
        )
        misses = np.abs(stretches - early.predict(rows))
        misses[:cut] *= max(np.median(misses[cut:]) / max(np.median(misses[:cut]), 1e-6), 1.0)
        spread = Boosted.fit(
            rows,
            np.log(np.maximum(misses, _LEAST_SPREAD)),
            rounds=_SPREAD_ROUNDS,
            parameters={**_PARAMETERS, "objective": "l2"},
        )
        residuals = stretches[cut:] - early.predict(rows[cut:])
        standard = residuals / np.exp(spread.predict(rows[cut:]))
        return cls(
            width,
            median,
            spread,
            float(misses.mean()),
            tuple(np.quantile(standard, LEVELS).tolist()),
            float(np.log(np.mean(np.exp(np.clip(residuals, -2.0, 2.0))))),
        )

    def predict(self, row: Floats) -> Stretch:
        """Return the distribution for one row of shape (>= width,)."""
        if self.median is None or self.spread is None:
            return Stretch(0.0, self.default_spread, self.smear_log)
        one = row[None, : self.width]
        median = float(self.median.predict(one)[0])
        spread = max(float(np.exp(self.spread.predict(one)[0])), _LEAST_SPREAD)
        return Stretch(median, spread, median + self.smear_log)

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain data."""
        return {
            "width": self.width,
            "median": None if self.median is None else self.median.text,
            "spread": None if self.spread is None else self.spread.text,
            "default_spread": self.default_spread,
            "standard": list(self.standard),
            "smear_log": self.smear_log,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ContextModel":
        """Rebuild a model from plain data."""
        return cls(
            data["width"],
            None if data["median"] is None else Boosted(data["median"]),
            None if data["spread"] is None else Boosted(data["spread"]),
            data["default_spread"],
            tuple(data["standard"]),
            data["smear_log"],
        )
