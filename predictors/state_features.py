"""The fast state as features: what the newest runs say about the next one, whatever network they ran."""

from math import exp, log, nan

from predictors.calm_model import Calm
from predictors.device_state import RATES, RECENT, DeviceState, Recent, ratio_of_sums_log, short_name
from predictors.run import RunQuery
from predictors.usual import READ, jumps, readings

LONG_LOG_US = log(20_000.0)
"""Longer runs last several time slices of a scheduler, so that competing processes slow them evenly."""

_LISTED = 6
_NEAREST = 3
_COUNT_HORIZONS = (1.5, 4.0, 10.0)
_TIME_HORIZONS_US = (1e5, 4e5, 1.5e6)

STATE_NAMES = (
    *(f"average_{rate}" for rate in RATES),
    "silence_log_us",
    *(f"residual_{age}" for age in range(_LISTED)),
    *(f"length_{age}" for age in range(_LISTED)),
    *("recent_minimum", "recent_maximum", "similar_wide", "similar_narrow", "similar_weight"),
    *("long_newest", "long_mean"),
    *(f"sums_{horizon:g}_runs" for horizon in _COUNT_HORIZONS),
    *(f"sums_{horizon / 1e6:g}_s" for horizon in _TIME_HORIZONS_US),
    *(f"jump_{name}" for name in READ),
    *(f"nearest_residual_{rank}" for rank in range(_NEAREST)),
    *(f"nearest_distance_{rank}" for rank in range(_NEAREST)),
    *("same_model", "same_model_age"),
)
"""Lengths are log calm length relative to the coming run's; residuals are log(total / calm)."""


def state_vector(query: RunQuery, calm: Calm, state: DeviceState) -> list[float]:
    """Return the components of `STATE_NAMES`; all NaN before the first run."""
    if not state.recent:
        return [nan] * len(STATE_NAMES)
    newest = state.recent[::-1]
    residuals = [item.residual for item in newest]
    lengths = [item.log_calm_us - calm.log_total_us for item in newest]
    silences = [max(query.started_at_us - item.ended_at_us, 0) for item in newest]
    return [
        *state.averages,
        log(1.0 + silences[0]),
        *_padded(residuals, _LISTED),
        *_padded(lengths, _LISTED),
        min(residuals[:_LISTED]),
        max(residuals[:_LISTED]),
        *_similar(residuals, lengths),
        *_long(newest),
        *(ratio_of_sums_log(newest, [exp(-age / h) for age in range(len(newest))]) for h in _COUNT_HORIZONS),
        *(ratio_of_sums_log(newest, [exp(-silence / h) for silence in silences]) for h in _TIME_HORIZONS_US),
        *jumps(state.usual, readings(query.context)),
        *_nearest(residuals, lengths),
        *_same_model(query, calm, state),
    ]


def similar_residual(calm: Calm, state: DeviceState) -> float:
    """Return the mean residual of recent runs, newest and most alike in length first; 0 before any."""
    newest = state.recent[::-1]
    residuals = [item.residual for item in newest]
    return (
        _similar(residuals, [item.log_calm_us - calm.log_total_us for item in newest])[0] if newest else 0.0
    )


def _padded(values: list[float], count: int) -> list[float]:
    return values[:count] + [nan] * (count - len(values))


def _similar(residuals: list[float], lengths: list[float]) -> tuple[float, float, float]:
    wide = [exp(-0.5 * length**2 - 0.25 * age) for age, length in enumerate(lengths)]
    narrow = [exp(-2.0 * length**2 - 0.1 * age) for age, length in enumerate(lengths)]
    return _weighted(residuals, wide), _weighted(residuals, narrow), sum(narrow)


def _weighted(values: list[float], weights: list[float]) -> float:
    total = sum(weights)
    if total < 1e-9:
        return sum(values) / len(values)
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / total


def _long(newest: tuple[Recent, ...]) -> tuple[float, float]:
    values = [item.residual for item in newest if item.log_calm_us > LONG_LOG_US][:4]
    return (values[0], sum(values) / len(values)) if values else (nan, nan)


def _nearest(residuals: list[float], lengths: list[float]) -> list[float]:
    distances = [abs(length) + 0.03 * age for age, length in enumerate(lengths[:RECENT])]
    order = sorted(range(len(distances)), key=distances.__getitem__)[:_NEAREST]
    return [
        *_padded([residuals[place] for place in order], _NEAREST),
        *_padded([distances[place] for place in order], _NEAREST),
    ]


def _same_model(query: RunQuery, calm: Calm, state: DeviceState) -> tuple[float, float]:
    if calm.known:
        short = short_name(query.model)
        for name, residual, number in state.models:
            if name == short:
                return residual, float(state.runs - number)
    return nan, nan
