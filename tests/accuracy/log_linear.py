"""A plain way to predict operators: one log-linear model per type, and boosted trees on what it leaves over.

What anyone would try first, and so the yardstick of the calm rung on phones. All processors of a kind share
one model; each has an offset of its own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import lightgbm
import numpy as np
from numpy.typing import NDArray

from predictors.features import NAMES, feature_matrix
from predictors.graph import Operator
from predictors.run import PredictorKey, Run

Floats = NDArray[np.float64]

LEAST_US = 0.5
TREES = 100
_RIDGE = 1.0
_COLUMNS = [
    NAMES.index(name)
    for name in (
        *("log_macs", "log_input_bytes", "log_weight_bytes", "log_output_bytes", "log_in_channels"),
        *("log_out_channels", "log_out_height", "log_inner", "kernel_height", "kernel_width", "stride"),
        *("log_group", "input_count"),
    )
]
_PARAMETERS = {
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
}


class LogLinearBoosted:
    """Fitted on the median latency of each operator on each processor."""

    def __init__(self, known: Mapping[PredictorKey, Sequence[Run]]) -> None:
        latencies: dict[tuple[PredictorKey, Operator], list[float]] = defaultdict(list)
        for key, runs in known.items():
            for run in runs:
                for operator, latency_us in zip(run.query.operators, run.latency_us.tolist(), strict=True):
                    latencies[key, operator].append(latency_us)
        self._keys = {key: place for place, key in enumerate(known)}
        operators = [operator for _, operator in latencies]
        types = np.array([_type(operator) for operator in operators])
        self._types = {name: code for code, name in enumerate(sorted(set(types.tolist())))}
        rows = np.vstack([self._rows(key, [operator]) for key, operator in latencies])
        logs = np.log(np.maximum([np.median(values) for values in latencies.values()], LEAST_US))
        self._common = _ridge(rows, logs)
        left = logs - _linear(rows, self._common)
        self._by_type = {
            name: _ridge(rows[types == name], left[types == name])
            for name in self._types
            if np.sum(types == name) > 2
        }
        left = left - self._own(rows, operators)
        data = lightgbm.Dataset(self._with_type(rows, operators), left, params=_PARAMETERS)
        self._trees = lightgbm.train(_PARAMETERS, data, TREES)

    def predict(self, key: PredictorKey, operators: Sequence[Operator]) -> Floats:
        """Return latencies in microseconds, shape (n,)."""
        rows = self._rows(key, operators)
        boosted = self._trees.predict(self._with_type(rows, operators))
        logs = _linear(rows, self._common) + self._own(rows, operators) + np.asarray(boosted)
        return np.asarray(np.exp(logs), dtype=np.float64)

    def _rows(self, key: PredictorKey, operators: Sequence[Operator]) -> Floats:
        rows = np.nan_to_num(feature_matrix(operators)[:, _COLUMNS])
        processors = np.zeros((len(operators), len(self._keys)))
        processors[:, self._keys[key]] = 1.0
        return np.column_stack([rows, processors])

    def _own(self, rows: Floats, operators: Sequence[Operator]) -> Floats:
        """Return what an operator's type adds to the common model."""
        none = np.zeros(rows.shape[1] + 1)
        weights = np.array([self._by_type.get(_type(operator), none) for operator in operators])
        return np.asarray(np.sum(rows * weights[:, :-1], axis=1) + weights[:, -1], dtype=np.float64)

    def _with_type(self, rows: Floats, operators: Sequence[Operator]) -> Floats:
        codes = [float(self._types.get(_type(operator), -1)) for operator in operators]
        return np.column_stack([rows, codes])


def _type(operator: Operator) -> str:
    group = operator.attributes.get("group", 1)
    grouped = isinstance(group, int) and group > 1
    return f"grouped {operator.op_type}" if grouped else operator.op_type


def _ridge(rows: Floats, logs: Floats) -> Floats:
    """Return weights and intercept of a ridge regression, shape (n_columns + 1,)."""
    design = np.column_stack([rows, np.ones(len(rows))])
    penalty = np.diag([*[_RIDGE] * rows.shape[1], 1e-3])
    return np.asarray(np.linalg.solve(design.T @ design + penalty, design.T @ logs), dtype=np.float64)


def _linear(rows: Floats, weights: Floats) -> Floats:
    return np.asarray(rows @ weights[:-1] + weights[-1], dtype=np.float64)
