"""LightGBM regressors as plain text: fitted deterministically on one thread, stored without pickles."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.trees import Trees

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
    ) -> "Boosted":
        """Fit `rounds` trees on (n, n_features) rows."""
        return cls(_trained(rows, targets, rounds, parameters, weights, categorical, None))

    def extended(
        self,
        rows: Floats,
        targets: Floats,
        *,
        rounds: int,
        parameters: Mapping[str, Any],
        weights: Floats | None = None,
    ) -> "Boosted":
        """Return these trees and up to `rounds` more, fitted to what these leave over."""
        return type(self)(_trained(rows, targets, rounds, parameters, weights, (), self.text))

    def __reduce__(self) -> tuple[type["Boosted"], tuple[str]]:
        """Copy the text alone: what LightGBM made of it lives in its own memory."""
        return type(self), (self.text,)

    @cached_property
    def _trees(self) -> Trees:
        return Trees(self.text)

    @property
    def tree_count(self) -> int:
        """Number of trees."""
        return self._trees.tree_count

    @property
    def feature_count(self) -> int:
        """Number of features a row must have."""
        return self._trees.feature_count

    def predict(self, rows: Floats) -> Floats:
        """Return one value per row, float64, shape (n,)."""
        return self._trees.predict(rows)

    def contributions(self, rows: Floats) -> Floats:
        """Return TreeSHAP contributions, shape (n, n_features + 1); the last column is the base value."""
        return self._trees.contributions(rows)

    def gains(self) -> Floats:
        """Return by how much all splits on each feature reduced the loss, shape (n_features,)."""
        return self._trees.gains()


def _trained(  # noqa: PLR0917
    rows: Floats,
    targets: Floats,
    rounds: int,
    parameters: Mapping[str, Any],
    weights: Floats | None,
    categorical: Sequence[int],
    start: str | None,
) -> str:
    """Return LightGBM's text of trees fitted from `start` on."""
    import lightgbm

    parameters = {**_COMMON, **parameters}
    data = lightgbm.Dataset(
        rows, targets, weight=weights, categorical_feature=list(categorical), params=parameters
    )
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=rounds,
        init_model=None if start is None else lightgbm.Booster(model_str=start),
        keep_training_booster=True,
    )
    return booster.model_to_string()
