"""A run's circumstances as a fixed-length vector: context, the run's own size, and the fast state.

Everything is relative to this processor's own calm level where a level exists (probes, frequency,
temperature), so that what was learned on one host holds on another. A missing sensor is NaN.
"""

from collections.abc import Mapping, Sequence
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from predictors.calm_model import Calm
from predictors.device_state import RECENT, DeviceState, short_name
from predictors.run import Context, Run, RunQuery

Floats = NDArray[np.float64]

CONTEXT_FEATURES_VERSION = 1

RELATIVE = ("probe_memory_us", "probe_compute_us", "frequency_mhz", "temperature_c", "context_switches_per_s")
"""Context fields that enter as log(value / calm level)."""

PLAIN = (
    *(
        "processor_utilization",
        "cpu_utilization",
        "run_queue",
        "cpu_pressure",
        "memory_pressure",
        "co_running",
    ),
    *(
        "cache_miss_rate",
        "load_average",
        "battery_fraction",
        "charging",
        "thermal_status",
        "screen_on",
        "first_run",
    ),
)
"""Context fields that enter as they are."""

CONTEXT_NAMES = (*RELATIVE, *PLAIN, "log_idle_before_us")
RUN_NAMES = ("log_calm_us", "profiled", "memory_share", "log_node_us", "known")
STATE_NAMES = (
    *("average_fast", "average_middle", "average_slow", "silence_log_us", "runs_absorbed"),
    *(f"residual_{age}" for age in range(RECENT)),
    *(f"length_{age}" for age in range(RECENT)),
    *("recent_minimum", "recent_maximum", "recent_similar_length", "same_model", "same_model_age"),
)
FROZEN_NAMES = (*CONTEXT_NAMES, *RUN_NAMES)
"""What a model without state may use."""

NAMES = (*FROZEN_NAMES, *STATE_NAMES)
"""The whole vector, in order; the first `len(FROZEN_NAMES)` components need no state."""


def calm_levels(runs: Sequence[Run]) -> dict[str, float]:
    """Return the median of each relative context field over calm runs: the processor's own reference."""
    levels = {}
    for name in RELATIVE:
        values = [run.query.context[name] for run in runs if run.query.context.get(name, 0.0) > 0]
        if values:
            levels[name] = float(np.median(values))
    return levels


def context_vector(query: RunQuery, calm: Calm, levels: Mapping[str, float]) -> list[float]:
    """Return the components of `FROZEN_NAMES`."""
    context = query.context
    values = [_relative(context, levels, name) for name in RELATIVE]
    values += [float(context.get(name, np.nan)) for name in PLAIN]
    idle = context.get("idle_before_us")
    values.append(np.nan if idle is None else log(1.0 + max(idle, 0.0)))
    per_node = calm.operators_us / calm.node_count if calm.node_count else np.nan
    values += [
        calm.log_total_us,
        float(query.profiled),
        calm.memory_share,
        float(np.log(per_node)),
        float(calm.known),
    ]
    return values


def state_vector(query: RunQuery, calm: Calm, state: DeviceState) -> list[float]:
    """Return the components of `STATE_NAMES`."""
    if not state.runs:
        return [np.nan] * len(STATE_NAMES)
    silence = max(query.started_at_us - state.updated_at_us, 0)
    newest = state.recent[::-1]
    residuals = [item.residual for item in newest]
    lengths = [item.log_calm_us - calm.log_total_us for item in newest]
    padding = [np.nan] * (RECENT - len(newest))
    weights = [exp(-0.5 * length * length - 0.25 * age) for age, length in enumerate(lengths)]
    similar = sum(w * r for w, r in zip(weights, residuals, strict=True)) / max(sum(weights), 1e-9)
    same, age = np.nan, np.nan
    if calm.known:
        short = short_name(query.model)
        for name, residual, number in state.models:
            if name == short:
                same, age = residual, float(state.runs - number)
    return [
        *(*state.averages, log(1.0 + silence), float(min(state.runs, 50))),
        *(*residuals, *padding, *lengths, *padding),
        *(min(residuals), max(residuals), similar, same, age),
    ]


def _relative(context: Context, levels: Mapping[str, float], name: str) -> float:
    value, level = context.get(name), levels.get(name)
    if value is None or level is None or value <= 0 or level <= 0:
        return np.nan
    return log(value / level)
