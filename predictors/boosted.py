"""LightGBM regressors as plain text: fitted deterministically on one thread, stored without pickles."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_COMMON: Mapping[str, Any] = {
    "num_threads": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 7,
    "max_bin": 63,
}


class Boosted:
    """A boosted-trees regressor that predicts rows of shape (n, n_features) and is its own text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.booster = lightgbm.Booster(model_str=text)

    @classmethod
    def fit(
        cls,
        rows: Floats,
        targets: Floats,
        *,
        rounds: int,
        parameters: Mapping[str, Any],
        weights: Floats | None = None,
        categorical: Sequence[int] = (),
        base: "Boosted | None" = None,
    ) -> "Boosted":
        """Fit on (n, n_features) rows; with `base` append `rounds` trees to it instead of starting anew."""
        data = lightgbm.Dataset(
            rows,
            targets,
            weight=weights,
            categorical_feature=list(categorical),
            params={**_COMMON, **parameters},
        )
        booster = lightgbm.train(
            {**_COMMON, **parameters},
            data,
            num_boost_round=rounds,
            init_model=None if base is None else base.booster,
        )
        return cls(booster.model_to_string())

    @property
    def tree_count(self) -> int:
        """Number of trees."""
        return int(self.booster.num_trees())

    @property
    def feature_count(self) -> int:
        """Number of features a row must have."""
        return int(self.booster.num_feature())

    def predict(self, rows: Floats) -> Floats:
        """Return one value per row, float64, shape (n,)."""
        if len(rows) == 0:
            return np.empty(0)
        return np.asarray(self.booster.predict(rows, num_threads=1), dtype=np.float64)

    def contributions(self, rows: Floats) -> Floats:
        """Return TreeSHAP contributions, shape (n, n_features + 1); the last column is the base value."""
        return np.asarray(self.booster.predict(rows, pred_contrib=True, num_threads=1), dtype=np.float64)
