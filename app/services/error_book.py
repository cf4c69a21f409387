"""Book how wrong each rung was, as sums that can be merged, and read the report's figures from them.

The figures are those of `predictors.scores`; only the median comes from a sketch instead of all errors.
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from app.store.learning import RecordedRun
from app.store.reports import HOUR_US, Cell, CellKey
from predictors.evaluate import Scored
from predictors.forecast import LatencyForecast, RunForecast
from predictors.scores import LEAST_US

Floats = NDArray[np.float64]
Cells = dict[CellKey, Cell]

INTERVAL_MISS_WEIGHT = 2.0 / (1.0 - 0.9)
"""Winkler's penalty for a miss of a 90 % interval."""


def book(cells: Cells, record: RecordedRun, scored: Scored) -> None:
    """Count one scored run on both levels, for every rung; `cells` makes missing cells itself."""
    for rung, forecast in scored.forecasts.items():
        key = CellKey(
            hour=scored.query.started_at_us // HOUR_US,
            processor_id=record.processor_id,
            condition=scored.query.condition or "",
            model_id=record.model_id,
            op_type="",
            rung=rung.value,
            level="run",
            predictor=scored.predictor,
        )
        ape, terms = _run_terms(scored.run.total_us, forecast.total)
        cells[key].add(np.array([ape]), terms)
        if len(scored.run.latency_us):
            _book_operators(cells, key, scored, forecast)


def figures(cell: Cell) -> dict[str, float | int | None]:
    """Return a cell's figures, all fractions; None where nothing was counted."""
    sums, n = cell.sums, max(cell.n, 1)
    intervals = "covered" in sums
    return {
        "n": cell.n,
        "mape": sums["ape"] / n,
        "median_ape": cell.sketch.get_quantile(0.5),
        "mean_abs_log_ratio": sums["abs_log_ratio"] / n,
        "rmspe": sqrt(sums["squared_pe"] / n),
        "within_10": sums["within_10"] / n,
        "bias": sums["predicted_us"] / max(sums["measured_us"], LEAST_US) - 1.0,
        "pinball": sums["pinball_us"] / max(sums["measured_us"], LEAST_US) if intervals else None,
        "coverage": sums["covered"] / n if intervals else None,
        "width": sums["width"] / n if intervals else None,
        "winkler": sums["winkler"] / n if intervals else None,
    }


def _run_terms(total_us: float, forecast: LatencyForecast) -> tuple[float, Mapping[str, float]]:
    measured = max(total_us, LEAST_US)
    relative = (forecast.p50_us - measured) / measured
    width = forecast.high_us - forecast.low_us
    outside = max(forecast.low_us - total_us, 0.0) + max(total_us - forecast.high_us, 0.0)
    quantiles = {0.5: forecast.p50_us, 0.9: forecast.p90_us, 0.99: forecast.p99_us}
    losses = [max(level * (total_us - q), (level - 1.0) * (total_us - q)) for level, q in quantiles.items()]
    return abs(relative), {
        "ape": abs(relative),
        "abs_log_ratio": abs(float(np.log(max(forecast.p50_us, LEAST_US) / measured))),
        "squared_pe": relative**2,
        "within_10": float(abs(relative) <= 0.1),
        "predicted_us": forecast.mean_us,
        "measured_us": total_us,
        "pinball_us": sum(losses) / len(losses),
        "covered": float(forecast.low_us <= total_us <= forecast.high_us),
        "width": width / measured,
        "winkler": (width + INTERVAL_MISS_WEIGHT * outside) / measured,
    }


def _book_operators(cells: Cells, run_key: CellKey, scored: Scored, forecast: RunForecast) -> None:
    """Count a run's operators by type; versions come and go too fast to tell apart on this level."""
    measured_us = scored.run.latency_us
    predicted_us = forecast.operators_us
    if len(predicted_us) != len(measured_us):
        return
    floor = np.maximum(measured_us, LEAST_US)
    relative = (predicted_us - floor) / floor
    ape = np.abs(relative)
    terms = {
        "ape": ape,
        "abs_log_ratio": np.abs(np.log(np.maximum(predicted_us, LEAST_US) / floor)),
        "squared_pe": relative**2,
        "within_10": (ape <= 0.1).astype(np.float64),
        "predicted_us": predicted_us,
        "measured_us": measured_us,
    }
    types, codes = np.unique([operator.op_type for operator in scored.query.operators], return_inverse=True)
    sums = {name: np.bincount(codes, values, len(types)) for name, values in terms.items()}
    for code, op_type in enumerate(types.tolist()):
        key = run_key._replace(op_type=op_type, level="operator", predictor="")
        cells[key].add(ape[codes == code], {name: float(values[code]) for name, values in sums.items()})
